"""Intervals, p-values and ranks: against library values, and how often they are right in simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from benchmark.results.intervals import Estimate, combine, holm, ranks, ratio_interval

EFFECT = 0.03


def test_seeds_alone_give_the_t_interval():
    """2, 3, 4: mean 3, half width t(0.975, 2) / sqrt(3)."""
    found = combine([[2.0, 3.0, 4.0]])
    assert (found.mean, found.freedom) == (3.0, pytest.approx(2.0))
    assert found.interval() == pytest.approx((3 - 4.302653 / math.sqrt(3), 3 + 4.302653 / math.sqrt(3)), abs=1e-5)
    expected = stats.ttest_1samp([2.0, 3.0, 4.0], 0.0)
    assert found.p_value() == pytest.approx(expected.pvalue)
    assert found.interval() == pytest.approx(tuple(expected.confidence_interval()))


def test_two_data_sets_with_seeds_give_welchs_interval():
    """A difference of two means is a sum of two with the sign turned: scipy's Welch test, halved."""
    one, other = [2.0, 3.0, 4.5], [1.0, 7.0, 3.0, 5.0]
    found = combine([one, [-value for value in other]])
    expected = stats.ttest_ind(one, other, equal_var=False)
    assert found.mean == pytest.approx((np.mean(one) - np.mean(other)) / 2)
    assert found.freedom == pytest.approx(expected.df)
    assert found.p_value() == pytest.approx(expected.pvalue)


def test_images_widen_it_by_hand():
    """Seeds' variance 1 / 3 with 2 degrees of freedom, images' 0.5 with 99."""
    found = combine([[2.0, 3.0, 4.0]], [0.5], [100])
    assert found.error == pytest.approx(math.sqrt(1 / 3 + 0.5))
    assert found.freedom == pytest.approx((1 / 3 + 0.5) ** 2 / ((1 / 3) ** 2 / 2 + 0.25 / 99))


@pytest.mark.parametrize("values", [[], [[]], [[1.0, math.nan]], [[math.inf, 1.0]]])
def test_no_value_no_estimate(values):
    assert math.isnan(combine(values).mean)
    assert not combine(values).known


def test_one_seed_has_a_mean_and_no_interval():
    found = combine([[3.0], [5.0]], [0.1, 0.1], [10, 10])
    assert found.mean == 4.0
    assert all(math.isnan(each) for each in (*found.interval(), found.p_value(), found.p_outside(1.0)))


def test_no_spread_is_certain():
    """An identity upgrade: everything is equal to the last digit."""
    zero, one = combine([[0.0, 0.0, 0.0]], [0.0], [50]), combine([[1.5, 1.5]], [0.0], [50])
    assert (zero.interval(), zero.p_value(), zero.p_outside(1.0)) == ((0.0, 0.0), 1.0, 0.0)
    assert (one.interval(), one.p_value(), one.p_outside(1.0)) == ((1.5, 1.5), 0.0, 1.0)


def test_equivalence_is_two_one_sided_tests():
    values = [0.1, -0.2, 0.15, 0.05]
    found = combine([values])
    lower = stats.ttest_1samp(values, -1.0, alternative="greater").pvalue
    upper = stats.ttest_1samp(values, 1.0, alternative="less").pvalue
    assert found.p_outside(1.0) == pytest.approx(max(lower, upper))


def test_holm_by_hand():
    """Sorted 0.01, 0.02, 0.04 times 3, 2, 1, never falling; what is not known does not count."""
    assert holm([0.04, math.nan, 0.01, 0.02])[0] == pytest.approx(0.04)
    assert holm([0.04, math.nan, 0.01, 0.02])[2:] == pytest.approx([0.03, 0.04])
    assert math.isnan(holm([0.04, math.nan])[1])
    assert holm([]) == []


def test_fieller_by_hand():
    """Without error below, the ratio's interval is that of the upper mean, divided."""
    top, bottom = Estimate(6.0, 1.0, 10.0), Estimate(12.0, 0.0, 10.0)
    half = stats.t.ppf(0.975, 10)
    assert ratio_interval(top, bottom, 0.0) == pytest.approx(((6 - half) / 12, (6 + half) / 12))
    assert ratio_interval(top, Estimate(1.0, 1.0, 10.0), 0.0) == (-math.inf, math.inf)
    assert all(math.isnan(each) for each in ratio_interval(top, Estimate(1.0), 0.0))


def test_identical_lifts_are_retained_whole():
    """Reuse equal to retraining: ratio 1 with no width, as in an identity upgrade."""
    same = Estimate(8.0, 1.5, 6.0)
    assert ratio_interval(same, same, 1.5**2) == pytest.approx((1.0, 1.0), abs=1e-6)


def test_ranks_by_hand():
    """A is significantly better than B and C, which do not differ significantly."""
    clear, unclear = Estimate(9.0, 0.5, 10.0), Estimate(0.2, 1.0, 10.0)
    assert ranks({(0, 1): clear, (0, 2): clear, (1, 2): unclear}, 3) == [(1, 1), (2, 3), (2, 3)]
    down = Estimate(-9.0, 0.5, 10.0)
    assert ranks({(0, 1): down}, 2) == [(2, 2), (1, 1)]
    assert ranks({(0, 1): Estimate(9.0)}, 2) == [(1, 2), (1, 2)]


# --- how often they are right ------------------------------------------------------------------------------------------


def simulated(rng, datasets: int, seed_deviation: float, effect: float, images: int = 200, seeds: int = 3):
    """A lift on several data sets: a seed's module has an accuracy of its own; images are hard or easy for both sides."""
    values, variances = [], []
    for _ in range(datasets):
        hardness = rng.random(images)
        zero = hardness < 0.6
        level = np.clip(0.6 + effect + rng.normal(0, seed_deviation, (seeds, 1)), 0.02, 0.98)
        agrees = rng.random((seeds, images)) < 0.7
        module = np.where(agrees, hardness < level, rng.random((seeds, images)) < level)
        lift = module.astype(float) - zero
        values.append(lift.mean(1).tolist())
        variances.append(float(lift.mean(0).var(ddof=1)) / images)
    return combine(values, variances, [images] * datasets)


@pytest.mark.parametrize("datasets", [1, 3])
@pytest.mark.parametrize("deviation", [0.0, 0.02, 0.05])
def test_intervals_cover(datasets, deviation):
    """At least 93 % at three seeds and 200 images; seeds alone would not (see below)."""
    rng = np.random.default_rng(1)
    inside = [
        low <= EFFECT <= high for low, high in (simulated(rng, datasets, deviation, EFFECT).interval() for _ in range(600))
    ]
    assert np.mean(inside) >= 0.93


def test_seeds_alone_do_not_cover():
    """Why images are counted: they are shared by all seeds, so seeds cannot show how much they matter."""
    rng, inside = np.random.default_rng(2), []
    for _ in range(600):
        hardness, seeds = rng.random(200), 3
        agrees = rng.random((seeds, 200)) < 0.9
        module = np.where(agrees, hardness < 0.63, rng.random((seeds, 200)) < 0.63)
        low, high = combine([(module.mean(1) - (hardness < 0.6).mean()).tolist()]).interval()
        inside.append(low <= EFFECT <= high)
    assert np.mean(inside) < 0.93


def test_methods_without_a_difference_are_separated_at_most_as_often_as_stated():
    """Twelve methods that do nothing: some verdict or rank of the table is wrong in at most about 5 % of tables."""
    rng, wrong = np.random.default_rng(3), 0
    for _ in range(150):
        lifts = [simulated(rng, 2, 0.02, 0.0) for _ in range(12)]
        wrong += any(p < 0.05 for p in holm([lift.p_value() for lift in lifts]))
    assert wrong / 150 < 0.08


def test_ranks_are_wrong_at_most_as_often_as_stated():
    rng, wrong = np.random.default_rng(4), 0
    for _ in range(150):
        differences = {(i, j): simulated(rng, 2, 0.02, 0.0) for i in range(5) for j in range(i + 1, 5)}
        wrong += any(rank != (1, 5) for rank in ranks(differences, 5))
    assert wrong / 150 < 0.08
