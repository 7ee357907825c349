"""The first screen: the answer, the key numbers, and the methods on all upgrades."""

from __future__ import annotations

import math

from benchmark.report import (
    numbers,
    summary,
)
from benchmark.report.model import BASE_TO_NEW, Accuracies, MethodRow
from benchmark.report.table import Interval


def row(name: str, verdict: str, lift: float, *, retrain: float = math.nan, kept: Interval | None = None) -> MethodRow:
    reuse = Accuracies(50 + lift)
    interval = Interval(lift, lift - 2, lift + 2)
    return MethodRow(
        "a->b",
        name,
        "default",
        name.title(),
        "deep",
        reuse=reuse,
        zs_new=50.0,
        lift=interval,
        verdict=verdict,
        retrain=retrain,
        retained=kept or Interval(),
    )


def test_mean_over_upgrades_takes_errors_for_one_and_the_same() -> None:
    found = summary.mean_lift([Interval(4, 2, 6), Interval(-2, -6, 2)])
    assert (found.mean, found.low, found.high) == (1, -2, 4)
    assert not summary.mean_lift([Interval(4), Interval(2, 1, 3)]).known


def test_overview_puts_first_what_works_everywhere() -> None:
    first = [row("one", "helps", 9.0), row("two", "helps", 1.0)]
    second = [row("one", "incompatible", math.nan), row("two", "undecided", 3.0)]
    found = summary.overview([first, second])
    assert [(each.method, each.pairs, each.mean.mean) for each in found] == [("two", 2, 2.0), ("one", 1, 9.0)]


def test_key_numbers_count_what_can_be_reused() -> None:
    rows = [
        row("one", "helps", 4.0, retrain=60.0),
        row("two", "harms", -6.0, retrain=50.0),
        row("x", "incompatible", math.nan),
    ]
    found = summary.key_numbers(summary.overview([rows]), 1, BASE_TO_NEW)
    assert [each.value for each in found] == ["1 of 2", "+4.0 ± 2.0", f"{numbers.MINUS}6.0"]
