"""What the first screen says: the answer, the key numbers, and the method to choose next time."""

from __future__ import annotations

import math
from collections.abc import Sequence

from benchmark.report.model import Answer, KeyNumber, MethodRow, OverviewRow, Scope
from benchmark.report.numbers import number, plural, signed
from benchmark.report.table import Interval
from benchmark.results.summary import EQUIVALENCE

COUNTED = ("helps", "harms", "no effect", "undecided")
"""Verdicts on modules that work on the new backbone."""


def answer(pair: str, anchor: str, rows: Sequence[MethodRow], view: Scope, repair: str = "") -> Answer:
    """What a team should do at one upgrade: keep the module if one helps significantly, else retrain if that brings more
    than a point on average, else use the new backbone without a module. ``repair`` is a sentence from the repair
    analysis."""
    judged = [row for row in rows if not row.baseline and row.verdict in COUNTED]
    if not judged:
        text = "No module has a result on the new backbone."
        return Answer(pair, anchor, "no result", "undecided", text, repair)
    helps, harms = ([row for row in judged if row.verdict == name] for name in ("helps", "harms"))
    counts = _counts(rows, judged, helps, harms)
    if helps:
        best = max(helps, key=lambda row: row.lift.mean)
        return Answer(pair, anchor, f"keep {best.label}", "helps", f"{_kept(best, view)}; {counts}.", repair)
    best = max(judged, key=lambda row: row.lift.mean)
    gains = [row.retrain - row.zs_new for row in judged if math.isfinite(row.retrain - row.zs_new)]
    mean = sum(gains) / len(gains) if gains else math.nan
    retrained = f"; retrained, modules bring {signed(mean)} on average" if gains else ""
    decision = "retrain" if mean > EQUIVALENCE else "use no module"
    if 2 * len(harms) >= len(judged):
        decision = f"do not reuse: {decision}"
    kind = "harms" if harms else "undecided"
    return Answer(pair, anchor, decision, kind, f"{_kept(best, view)}; {counts}{retrained}.", repair)


def _kept(best: MethodRow, view: Scope) -> str:
    """What the best module keeps, as a share of what retraining would bring where that is enough to be divided by."""
    lift = f"{signed(best.lift.mean)}{f' ± {number(best.lift.half)}' if best.lift.known else ''} points of {view.word}"
    share = best.retained
    if math.isfinite(share.mean) and share.known:
        low, high = number(100 * share.low, 0), number(100 * share.high, 0)
        return f"{best.label} keeps {number(100 * share.mean, 0)} % [{low}, {high}] of what retraining would bring ({lift})"
    brings = "brings" if best.verdict == "helps" else "has the highest lift,"
    return f"{best.label} {brings} {lift} over zero-shot"


def _counts(
    rows: Sequence[MethodRow], judged: Sequence[MethodRow], helps: Sequence[MethodRow], harms: Sequence[MethodRow]
) -> str:
    incompatible = sum(row.verdict == "incompatible" for row in rows)
    helping = f"{len(helps) or 'none'} of {plural(len(judged), 'method')} {'helps' if len(helps) == 1 else 'help'}"
    harming = f"{len(harms) or 'none'} {'harms' if len(harms) == 1 else 'harm'}"
    return f"{helping}, {harming}" + (
        f", {incompatible} more {'is' if incompatible == 1 else 'are'} incompatible" if incompatible else ""
    )


def overview(pairs: Sequence[Sequence[MethodRow]]) -> list[OverviewRow]:
    """Every method on all pairs, best mean lift first among those that work on most pairs."""
    names = dict.fromkeys(
        (row.method, row.config, row.label, row.depth) for rows in pairs for row in rows if not row.baseline
    )
    overview_rows = []
    for method, config, label, depth in names:
        on_pairs = tuple(next((row for row in rows if (row.method, row.config) == (method, config)), None) for rows in pairs)
        lifts = [row.lift for row in on_pairs if row is not None and row.complete and math.isfinite(row.lift.mean)]
        overview_rows.append(OverviewRow(method, label, depth, on_pairs, mean_lift(lifts), len(lifts)))
    return sorted(overview_rows, key=_place)


def _place(row: OverviewRow) -> tuple[int, float, str]:
    return -row.pairs, -row.mean.mean if math.isfinite(row.mean.mean) else math.inf, row.label


def mean_lift(lifts: Sequence[Interval]) -> Interval:
    """Mean over pairs. The pairs share seeds and images, so their errors are not independent: the interval assumes perfectly
    correlated errors, which is the widest case."""
    if not lifts:
        return Interval()
    mean = sum(lift.mean for lift in lifts) / len(lifts)
    if not all(lift.known for lift in lifts):
        return Interval(mean)
    half = sum(lift.half for lift in lifts) / len(lifts)
    return Interval(mean, mean - half, mean + half)


def key_numbers(rows: Sequence[OverviewRow], pairs: int, view: Scope) -> list[KeyNumber]:
    """The three numbers: how many reused modules help, who is best over all upgrades, and what retraining adds."""
    modules = [row for method in rows for row in method.rows if row is not None and row.verdict in COUNTED]
    if not modules:
        return []
    helps, harms = (sum(row.verdict == name for row in modules) for name in ("helps", "harms"))
    what = "reused modules help" if pairs == 1 else "reused modules help, over all upgrades"
    note = f"{harms} {'harms' if harms == 1 else 'harm'}, {len(modules) - helps - harms} without a significant effect"
    numbers = [KeyNumber(f"{helps} of {len(modules)}", what, note)]
    on_all = [row for row in rows if row.pairs == pairs and math.isfinite(row.mean.mean)]
    if on_all:
        best = on_all[0]
        half = f" ± {number(best.mean.half)}" if best.mean.known else ""
        note = (
            f"points of {view.word} over zero-shot, mean of the upgrades; not tested against the others"
            if pairs > 1
            else f"points of {view.word} over zero-shot"
        )
        numbers.append(KeyNumber(f"{signed(best.mean.mean)}{half}", f"{best.label}: the highest mean lift", note))
    gaps = [row.reuse.main - row.retrain for row in modules if math.isfinite(row.reuse.main) and math.isfinite(row.retrain)]
    if gaps:
        note = f"points of {view.word}, mean over modules and upgrades"
        numbers.append(KeyNumber(signed(sum(gaps) / len(gaps)), "reuse minus retraining on the new backbone", note))
    return numbers


def headline(answers: Sequence[Answer]) -> str:
    """One sentence over all upgrades."""
    if not answers:
        return "There are no results."
    parts = []
    for kind, words in (
        ("helps", "Some modules are worth keeping"),
        ("harms", "No module helps significantly, and some harm"),
        ("undecided", "No module helps significantly"),
    ):
        some = [answer for answer in answers if answer.kind == kind]
        if some:
            names = ", ".join(answer.pair for answer in some)
            where = f" at {len(some)} of {plural(len(answers), 'upgrade')} ({names})" if len(answers) > 1 else f" at {names}"
            parts.append(words + where)
    return ". ".join(parts) + "."
