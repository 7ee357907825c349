"""The figures of predictions, each against arithmetic done by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.results.metrics import calibration_error, flips, harmonic_mean

PERCENT = st.floats(0, 100)


def test_harmonic_mean_by_hand():
    assert harmonic_mean(82.69, 63.22) == pytest.approx(71.66, abs=0.005)  # CoOp, as published
    assert harmonic_mean(69.34, 74.22) == pytest.approx(71.70, abs=0.005)  # CLIP, as published
    assert harmonic_mean(0, 0) == 0
    assert harmonic_mean(0, 80) == 0
    assert harmonic_mean(50, 50) == 50


@settings(max_examples=50, deadline=None)
@given(base=PERCENT, new=PERCENT)
def test_harmonic_mean_lies_between_and_below_the_arithmetic(base, new):
    found = harmonic_mean(base, new)
    assert min(base, new) - 1e-9 <= found <= max(base, new) + 1e-9
    assert found <= (base + new) / 2 + 1e-9
    assert found == harmonic_mean(new, base)


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


def test_calibration_error_by_hand():
    """Two bins: three images at 0.9 of which two are right, one at 0.5 that is wrong."""
    confidences, right = np.array([0.9, 0.9, 0.9, 0.5]), np.array([True, True, False, False])
    assert calibration_error(confidences, right) == pytest.approx(100 * (0.75 * (0.9 - 2 / 3) + 0.25 * 0.5))


def test_calibration_error_of_the_well_calibrated_is_small_and_of_the_sure_is_their_error():
    rng = np.random.default_rng(0)
    sure = rng.uniform(0.2, 1, 200_000)
    assert calibration_error(sure, rng.uniform(size=len(sure)) < sure) < 0.6
    assert calibration_error(np.ones(10), np.arange(10) < 7) == pytest.approx(30)


@settings(max_examples=50, deadline=None)
@given(rows=st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=30))
def test_calibration_error_is_at_least_the_gap_of_the_means(rows):
    confidences, right = (np.array(column) for column in zip(*rows, strict=True))
    gap = 100 * abs(confidences.mean() - right.mean())
    assert gap - 1e-6 <= calibration_error(confidences, right) <= 100 + 1e-6
