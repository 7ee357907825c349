"""Sentences about the results. Each states what the data say and nothing else."""

from __future__ import annotations

import math
from collections.abc import Sequence

from benchmark.method.relatedness import SCALE
from benchmark.report.model import BOUND, MethodRow, Scope
from benchmark.report.numbers import listing, number, plural, signed

VERBS = {
    "helps": ("helps", "help"),
    "harms": ("harms", "harm"),
    "no effect": ("has no effect", "have no effect"),
    "undecided": ("is undecided", "are undecided"),
    "incompatible": ("is incompatible", "are incompatible"),
    "no result": ("has no result", "have no result"),
    BOUND: ("covers its training classes only", "cover their training classes only"),
}
NAMES_SHOWN = 6


def findings(rows: Sequence[MethodRow], view: Scope) -> list[str]:
    """What one pair's rows say, in up to five sentences."""
    methods = [row for row in rows if not row.baseline]
    if not methods:
        return ["No method was run on this upgrade."]
    if not any(math.isfinite(row.reuse.main) for row in methods):
        parts = [sentence for sentence in (_zero_shot(rows, view), _verdicts(methods, view)) if sentence]
        return [*parts, f"No method has a reused {view.word}, so there is no conclusion about reuse."]
    sentences = [_zero_shot(rows, view), _verdicts(methods, view), _best(methods, view), _depths(methods)]
    return [sentence for sentence in [*sentences, _retrained(methods, view)] if sentence]


def related(relatedness: float | None) -> list[str]:
    """A sentence on how related the two backbones are, if that is known."""
    if relatedness is None:
        return []
    return [f"The relatedness of the two text towers is {relatedness:.2f} ({SCALE})."]


def _zero_shot(rows: Sequence[MethodRow], view: Scope) -> str:
    baseline = next((row for row in rows if row.baseline and math.isfinite(row.gain.mean)), None)
    if baseline is None:
        return ""
    before, after = number(baseline.old.main), number(baseline.reuse.main)
    return f"{baseline.label}, with no module, goes from {view.word} {before} to {after} ({signed(baseline.gain.mean)})."


def _verdicts(methods: Sequence[MethodRow], view: Scope) -> str:
    """How many methods have each verdict, and which."""
    parts = []
    for verdict, (one, many) in VERBS.items():
        sign = 1 if verdict == "harms" else -1  # the strongest first
        chosen = sorted((row for row in methods if row.verdict == verdict), key=lambda row: sign * _lift(row))
        if chosen:
            names = [f"{row.label} {signed(row.lift.mean)}" if row.lift.known else row.label for row in chosen]
            rest = [f"{len(names) - NAMES_SHOWN} more"] if len(names) > NAMES_SHOWN else []
            parts.append(f"{len(chosen)} {one if len(chosen) == 1 else many} ({', '.join(names[:NAMES_SHOWN] + rest)})")
    known = any(row.lift.known for row in methods) or not any(math.isfinite(row.lift.mean) for row in methods)
    single = "" if known else " There are fewer than two seeds, so there is no interval and no verdict."
    return f"Of {plural(len(methods), 'reused method')}, {listing(parts)}.{single}"


def _lift(row: MethodRow) -> float:
    return row.lift.mean if math.isfinite(row.lift.mean) else -math.inf


def _best(methods: Sequence[MethodRow], view: Scope) -> str:
    complete = [row for row in methods if row.complete]
    if not complete:
        return ""
    best = complete[0]
    tied = [row.label for row in complete[1:] if row.place]
    among = " among the methods with all their cells" if len(complete) < len(methods) else ""
    text = f"The highest reused {view.word}{among} is {number(best.reuse.main)} ({best.label})"
    if tied:
        return f"{text}; it is not significantly better than {listing(_few(tied))}."
    alone = best.place == "best" and len(complete) > 1
    return f"{text}; it is significantly better than all others." if alone else f"{text}."


def _few(names: Sequence[str]) -> list[str]:
    return [*names[:NAMES_SHOWN], f"{len(names) - NAMES_SHOWN} more"] if len(names) > NAMES_SHOWN else list(names)


def _depths(methods: Sequence[MethodRow]) -> str:
    """Mean lift of shallow and of deep methods, over the methods with all their cells."""
    groups = {name: [row.lift.mean for row in methods if row.depth == name and row.complete] for name in ("shallow", "deep")}
    if not all(groups.values()):
        return ""
    parts = [f"{signed(sum(x) / len(x))} over {plural(len(x), f'{name} method')}" for name, x in groups.items()]
    return f"The mean lift is {listing(parts)}."


def _retrained(methods: Sequence[MethodRow], view: Scope) -> str:
    gaps = [row.retrain - row.reuse.main for row in methods if row.complete and math.isfinite(row.retrain)]
    if not gaps:
        return ""
    better = sum(gap > 0 for gap in gaps)
    text = f"Retrained on the new backbone with the old settings, {better} of {plural(len(gaps), 'method')}"
    text += " reaches" if better == 1 else " reach"
    return f"{text} a higher {view.word} than when reused (mean difference {signed(sum(gaps) / len(gaps))})."
