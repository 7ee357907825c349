"""Intervals for one module: formulas by hand, and how often they cover."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from benchmark.results.image_intervals import Measured, bootstrap, design_effect, paired_difference, share
from benchmark.results.metrics.calibration_error import calibration_error

Z = 1.959963984540054
TIMES = 400


def apart(count):
    return np.arange(count)


def test_a_share_has_wilsons_interval():
    holds = np.arange(50) < 9
    found = share(holds, apart(50))
    other = stats.binomtest(9, 50).proportion_ci(method="wilson")
    assert (found.value, found.low, found.high) == pytest.approx((18.0, 100 * other.low, 100 * other.high))


def test_a_difference_has_agresti_and_mins_interval():
    """From the four cells of the table: 20 both right, 12 and 5 right once, 13 both wrong, each with half an image more."""
    one = np.repeat([True, True, False, False], [20, 12, 5, 13])
    other = np.repeat([True, False, True, False], [20, 12, 5, 13])
    found = paired_difference(one, other, apart(50))
    n, b, c = 52, 12.5, 5.5
    centre, error = (b - c) / n, math.sqrt((b + c) - (b - c) ** 2 / n) / n
    assert found.value == pytest.approx(14.0)
    assert (found.low, found.high) == pytest.approx((100 * (centre - Z * error), 100 * (centre + Z * error)))


@pytest.mark.parametrize("count", [1, 3])
def test_equal_predictions_have_a_difference_of_nothing_that_is_not_certain(count):
    right = np.ones(count, dtype=bool)
    found = paired_difference(right, right, apart(count))
    assert found.value == 0
    assert found.low < 0 < found.high


def test_images_of_one_drawing_count_as_one():
    """Every image four times: the interval is that of a quarter of the images."""
    rng = np.random.default_rng(3)
    one, other = rng.random(60) < 0.7, rng.random(60) < 0.5
    alone = paired_difference(one, other, apart(60))
    repeated = paired_difference(np.repeat(one, 4), np.repeat(other, 4), np.repeat(apart(60), 4))
    assert repeated.value == pytest.approx(alone.value)
    assert repeated.high - repeated.low == pytest.approx(alone.high - alone.low, rel=0.01)
    differences = np.repeat(one.astype(float) - other, 4)
    assert design_effect(differences, np.repeat(apart(60), 4)) == pytest.approx(4.0, rel=0.02)
    assert design_effect(differences, apart(240)) == 1.0


def test_values_that_do_not_vary_count_by_drawing():
    assert design_effect(np.zeros(12), np.repeat(apart(3), 4)) == 4.0


@pytest.mark.parametrize(("better", "worse"), [(0.10, 0.10), (0.15, 0.05), (0.02, 0.01), (0.3, 0.1)])
def test_intervals_of_differences_cover(better, worse):
    """At least 93 of 100 times at 200 images, whatever the sizes of the discordant cells."""
    rng, truth, covered = np.random.default_rng(0), 100 * (better - worse), 0
    for _ in range(TIMES):
        kind = rng.choice(3, size=200, p=[better, worse, 1 - better - worse])
        found = paired_difference(kind == 0, kind == 1, apart(200))
        covered += found.low <= truth <= found.high
    assert covered / TIMES >= 0.93


def test_intervals_of_differences_cover_with_drawings():
    """Forty drawings of five images that mostly share their answer; images alone would cover far less often."""
    rng, groups = np.random.default_rng(1), np.repeat(apart(40), 5)
    covered, naive = 0, 0
    for _ in range(TIMES):
        kind = rng.choice(3, size=40, p=[0.2, 0.1, 0.7])[groups]
        changed = rng.random(200) < 0.2
        kind[changed] = rng.choice(3, size=int(changed.sum()), p=[0.2, 0.1, 0.7])
        for each in (groups, apart(200)):
            found = paired_difference(kind == 0, kind == 1, each)
            hit = found.low <= 10 <= found.high
            covered, naive = covered + (hit and each is groups), naive + (hit and each is not groups)
    assert covered / TIMES >= 0.92
    assert naive / TIMES < 0.8


def test_a_bootstrap_takes_off_what_noise_adds():
    """A calibrated model has an error of 0, though every sample shows one; the interval reaches down to it."""
    rng = np.random.default_rng(5)
    confidences = rng.uniform(0.3, 1.0, 200)
    right = rng.random(200) < confidences
    found = bootstrap(lambda rows: calibration_error(confidences[rows], right[rows]), apart(200))
    assert found.value > 3
    assert found.low < 1
    again = bootstrap(lambda rows: calibration_error(confidences[rows], right[rows]), apart(200))
    assert (again.low, again.high) == (found.low, found.high)


def test_sides_and_margins():
    assert [Measured(1, 0.1, 2).side, Measured(-1, -2, -0.1).side, Measured(1, -1, 3).side, Measured(1).side] == [
        1,
        -1,
        0,
        0,
    ]
    assert Measured(0, -0.9, 0.9).inside(1)
    assert not Measured(0, -1.1, 0.9).inside(1)
    assert not Measured(0).inside(1)
