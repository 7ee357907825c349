"""Flips, against arithmetic done by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.results.metrics.flips import NegativeFlips, PositiveFlips
from benchmark.training.evaluation import Predictions


def flips(before: np.ndarray, after: np.ndarray, labels: np.ndarray) -> tuple[float | None, float | None]:
    predictions = Predictions(labels, after, before=before)
    return NegativeFlips().value(predictions), PositiveFlips().value(predictions)


def test_flips_by_hand():
    """Ten images: right/right 4, right/wrong 1, wrong/right 3, wrong/wrong 2 (one of which changes its mind)."""
    labels = np.zeros(10, int)
    before = np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, 1])
    after = np.array([0, 0, 0, 0, 1, 0, 0, 0, 1, 2])
    assert flips(before, after, labels) == (10.0, 30.0)
    assert flips(after, before, labels) == (30.0, 10.0)
    assert flips(before, before, labels) == (0.0, 0.0)


@settings(max_examples=50, deadline=None)
@given(rows=st.lists(st.tuples(*[st.integers(0, 3)] * 3), min_size=1, max_size=30))
def test_flips_balance_accuracies(rows):
    """Accuracy after = accuracy before - negative + positive."""
    before, after, labels = (np.array(column) for column in zip(*rows, strict=True))
    negative, positive = flips(before, after, labels)
    assert 100 * np.mean(after == labels) == pytest.approx(100 * np.mean(before == labels) - negative + positive)


def test_flips_need_the_predictions_before():
    predictions = Predictions(np.zeros(2, int), np.zeros(2, int))
    assert NegativeFlips().value(predictions) is None
    assert PositiveFlips().value(predictions) is None
