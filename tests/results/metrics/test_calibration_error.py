"""Expected calibration error, by hand and by what must hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.results.metrics.calibration_error import CalibrationError, calibration_error
from benchmark.training.evaluation import Predictions


def test_calibration_error_by_hand():
    """Two bins: three images at 0.9 of which two are right, one at 0.5 that is wrong."""
    confidences, right = np.array([0.9, 0.9, 0.9, 0.5]), np.array([True, True, False, False])
    assert calibration_error(confidences, right) == pytest.approx(100 * (0.75 * (0.9 - 2 / 3) + 0.25 * 0.5))


def test_calibration_error_is_small_if_calibrated_and_the_error_rate_if_certain():
    rng = np.random.default_rng(0)
    confidences = rng.uniform(0.2, 1, 200_000)
    assert calibration_error(confidences, rng.uniform(size=len(confidences)) < confidences) < 0.6
    assert calibration_error(np.ones(10), np.arange(10) < 7) == pytest.approx(30)


@settings(max_examples=50, deadline=None)
@given(rows=st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=30))
def test_calibration_error_is_at_least_the_gap_of_the_means(rows):
    confidences, right = (np.array(column) for column in zip(*rows, strict=True))
    gap = 100 * abs(confidences.mean() - right.mean())
    assert gap - 1e-6 <= calibration_error(confidences, right) <= 100 + 1e-6


def test_early_results_have_no_confidences():
    assert CalibrationError().value(Predictions(np.zeros(2, int), np.zeros(2, int))) is None
