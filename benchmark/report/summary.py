"""What the first screen says next to the answers: the key numbers, and the method to choose next time."""

from __future__ import annotations

import math
from collections.abc import Sequence

from benchmark.report.model import COUNTED, KeyNumber, MethodRow, OverviewRow, Scope
from benchmark.report.numbers import number, signed
from benchmark.report.table import Interval


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
