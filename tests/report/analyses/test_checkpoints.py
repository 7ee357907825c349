"""Rank correlations along the way to a new backbone."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from benchmark.report.analyses.checkpoints import rank_correlation


def test_rank_correlation() -> None:
    x = pd.Series([1.0, 2, 3, 4, 5, 6, 7, 8])
    rho, low, high = rank_correlation(x, pd.Series([2.0, 1, 4, 3, 6, 5, 8, 7]))
    assert rho == pytest.approx(1 - 6 * 8 / (8 * 63))  # eight differences of one rank
    assert -1 < low < rho < high < 1
    assert rank_correlation(x, -x) == (-1, -1, -1)
    assert all(math.isnan(value) for value in rank_correlation(x[:3], x[:3]))


def test_rank_correlation_covers() -> None:
    """Normal pairs with a known Spearman correlation, (6 / pi) asin(rho / 2), twelve at a time."""
    rng, truth = np.random.default_rng(3), 6 / math.pi * math.asin(0.25)
    inside = 0
    for _ in range(400):
        x = rng.normal(size=12)
        y = 0.5 * x + math.sqrt(0.75) * rng.normal(size=12)
        _, low, high = rank_correlation(pd.Series(x), pd.Series(y))
        inside += low <= truth <= high
    assert inside / 400 >= 0.93
