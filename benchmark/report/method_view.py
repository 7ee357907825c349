"""What the page says of one method, while a reader's filter chooses it: on each upgrade, and over all upgrades."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmark.report.model import MethodRow, Scope
from benchmark.report.numbers import DASH, listing, number, plural, signed
from benchmark.report.words import VERBS

DATASETS_SHOWN = 8


@dataclass(frozen=True)
class MethodAnswer:
    """One method on one upgrade, as the first screen shows it."""

    pair: str
    anchor: str
    verdict: str
    kind: str
    """helps, harms or undecided, for its colour."""
    sentence: str


@dataclass(frozen=True)
class MethodView:
    """One method on all upgrades."""

    label: str
    headline: str
    answers: tuple[MethodAnswer, ...]


def overall(pairs: Sequence[tuple[str, str, Sequence[MethodRow]]], view: Scope) -> list[MethodView]:
    """A view for each method, in the order of their names.

    Args:
        pairs: Name, anchor and rows of each upgrade.
        view: What the rows are about.
    """
    labels = sorted({row.label for _, _, rows in pairs for row in rows})
    views = []
    for label in labels:
        found = [(name, anchor, row) for name, anchor, rows in pairs for row in rows if row.label == label]
        answers = tuple(_answer(name, anchor, row, view) for name, anchor, row in found)
        views.append(MethodView(label, _headline(label, [(name, row) for name, _, row in found]), answers))
    return views


def _headline(label: str, rows: Sequence[tuple[str, MethodRow]]) -> str:
    """On which upgrades a method has which verdict."""
    if rows[0][1].baseline:
        return f"{label} is the baseline: what the backbones do without a module."
    parts = []
    for verdict, (verb, _) in VERBS.items():
        names = [name for name, row in rows if row.verdict == verdict]
        if names:
            parts.append(f"{verb} on {listing(names)}")
    return f"{label} {listing(parts)}."


def _answer(name: str, anchor: str, row: MethodRow, view: Scope) -> MethodAnswer:
    kind = row.verdict if row.verdict in ("helps", "harms") else "undecided"
    return MethodAnswer(name, anchor, row.verdict or "baseline", kind, _levels(row, view) or row.note)


def sentences(row: MethodRow, rows: Sequence[MethodRow], view: Scope, by_dataset: Mapping[str, float]) -> list[str]:
    """What one upgrade did to one method.

    Args:
        row: The method's.
        rows: All rows of the upgrade.
        view: What they are about.
        by_dataset: Mean lift of this method, by data set.
    """
    start = f"For {row.label}: "
    if not math.isfinite(row.reuse.main):
        return [f"{start}{row.verdict or 'no value'}{f' ({row.note})' if row.note else ''}."]
    parts = [f"{start}{_levels(row, view)}."]
    if row.baseline:
        return parts
    parts += [_verdict(row, rows), _old_and_retrained(row), _flips(row), _datasets(by_dataset)]
    return [part for part in parts if part]


def _levels(row: MethodRow, view: Scope) -> str:
    """Accuracy and lift, with the interval of this method alone."""
    if not math.isfinite(row.reuse.main):
        return ""
    if row.baseline:
        return f"{view.word} goes from {number(row.old.main)} to {number(row.reuse.main)} ({signed(row.gain.mean)})"
    text = f"reused it has {view.word} {number(row.reuse.main)}, zero-shot has {number(row.zs_new)}; lift "
    return text + signed(row.lift.mean) + (f" [{signed(row.lift.low)}, {signed(row.lift.high)}]" if row.lift.known else "")


def _verdict(row: MethodRow, rows: Sequence[MethodRow]) -> str:
    """What the method's own interval says, and what is left of it after the correction for the number of methods."""
    if not row.lift.known:
        return "With fewer than two seeds there is no interval and no verdict."
    count = sum(other.lift.known and not other.baseline for other in rows)
    side = "above zero" if row.lift.low > 0 else "below zero" if row.lift.high < 0 else "around zero"
    own = f"This 95 % interval is for one method that was chosen before the run, and lies {side}."
    return f"{own} The verdict, corrected for {plural(count, 'method')}: {row.verdict}."


def _old_and_retrained(row: MethodRow) -> str:
    text = f"Before the upgrade it had {number(row.old.main)} (gain {signed(row.gain.mean)})"
    again = f"; retrained on the new backbone it has {number(row.retrain)}" if math.isfinite(row.retrain) else ""
    return f"{text}{again}." if math.isfinite(row.old.main) else ""


def _flips(row: MethodRow) -> str:
    names = {"negative_flip": "from right to wrong", "positive_flip": "from wrong to right"}
    parts = []
    for name, words in names.items():
        own, zero = (number(row.metric(name, "reuse", zero_shot=zero_shot)) for zero_shot in (False, True))
        if own != DASH:
            parts.append(f"{own} % {words}" + (f" (zero-shot {zero} %)" if zero != DASH else ""))
    return f"The upgrade turns {listing(parts)}." if parts else ""


def _datasets(by_dataset: Mapping[str, float]) -> str:
    """Lift by data set, the worst first."""
    known = sorted((lift, name) for name, lift in by_dataset.items() if math.isfinite(lift))
    if len(known) < 2:
        return ""
    shown = [f"{name} {signed(lift)}" for lift, name in known[:DATASETS_SHOWN]]
    rest = [f"{len(known) - DATASETS_SHOWN} more"] if len(known) > DATASETS_SHOWN else []
    below = sum(lift < 0 for lift, _ in known)
    return f"Mean lift by data set, below zero on {below} of {len(known)}: {', '.join(shown + rest)}."
