"""How much retraining equals reuse, from a made-up curve."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from benchmark.report.analyses.break_even import NO_STEPS, break_even


def curve(gaps: dict[int, float], half: float = math.inf) -> pd.DataFrame:
    rows = [
        {"amount": amount, "over_reuse": gap, "over_reuse_low": gap - half, "over_reuse_high": gap + half}
        for amount, gap in gaps.items()
    ]
    return pd.DataFrame(rows, columns=["amount", "over_reuse", "over_reuse_low", "over_reuse_high"])


@pytest.mark.parametrize(
    ("gaps", "half", "expected"),
    [
        ({0: -4, 5: -2, 20: 2, 100: 3}, 1.0, "12 (5 to 20)"),
        ({0: -4, 5: -2, 20: 2, 100: 3}, 2.5, "12 (0 to 100)"),
        ({0: -4, 5: -2, 20: -1}, math.inf, "more than 20"),
        ({0: -4, 5: -2, 20: -1}, 1.5, "more than 20 (5 to beyond)"),
        ({0: 1, 5: 2}, 0.1, "0"),
        ({}, 1.0, NO_STEPS),
    ],
)
def test_break_even_by_hand(gaps: dict[int, float], half: float, expected: str) -> None:
    assert break_even(curve(gaps, half)) == expected
