"""Differences of paired predictions: by hand on a few images, and how often their intervals are right in simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from benchmark.results.metric import harmonic_mean
from benchmark.results.paired import Outcome, contrast, difference, linearised

ONE = Outcome(
    {
        "base": np.array([[1, 1, 0, 1], [1, 0, 0, 1]], float),
        "new": np.array([[1, 0], [0, 1]], float),
    },
    {"base": np.array([0, 0, 1, 2]), "new": np.array([0, 1])},
)
OTHER = Outcome(
    {
        "base": np.array([[0, 1, 0, 1], [0, 1, 1, 0]], float),
        "new": np.array([[1, 1], [1, 0]], float),
    },
    ONE.groups,
)


# --- by hand -------------------------------------------------------------------------------------------------------


def test_accuracies_by_hand():
    assert ONE.accuracy("base") == [75.0, 50.0]
    assert ONE.accuracy("new") == [50.0, 50.0]
    assert ONE.accuracy("H") == pytest.approx([60.0, 50.0])
    assert OTHER.accuracy("H") == pytest.approx([200 / 3, 50.0])


def test_which_splits_it_has():
    some = Outcome({"base": ONE.right["base"]}, {"base": ONE.groups["base"]})
    assert some.has("base")
    assert not some.has("new")
    assert not some.has("H")
    assert ONE.has("H")


def test_a_difference_of_accuracies_by_hand():
    """Seeds: 75 - 50 and 50 - 50, mean 12.5, variance of the mean 312.5 / 2. Images, mean over seeds: 1, -1/2, -1/2, 1/2,
    each minus their mean of 1/8 and divided by 4; the first two show one drawing."""
    found = difference(ONE, OTHER, "base")
    drawings = np.array([21.875 - 15.625, -15.625, 9.375])
    seeds, shown = 312.5 / 2, float((drawings**2).sum()) * 3 / 2
    assert found.mean == 12.5
    assert found.error == pytest.approx(math.sqrt(seeds + shown))
    assert found.freedom == pytest.approx((seeds + shown) ** 2 / (seeds**2 / 1 + shown**2 / 2))
    half = stats.t.ppf(0.975, found.freedom) * found.error
    assert found.interval() == pytest.approx((12.5 - half, 12.5 + half))


def test_a_difference_of_h_by_hand():
    """The mean is that of H itself; the images' part is linear, dH/db = 2 n^2 / (b + n)^2."""
    found = difference(ONE, OTHER, "H")
    assert found.mean == pytest.approx((60 - 200 / 3 + 50 - 50) / 2)
    assert found.known


def test_effects_on_h_are_its_slopes():
    """Against H with one more image right: what each image does to it, to first order, in many images."""
    rng = np.random.default_rng(1)
    base, new = (rng.random((1, 4000)) < 0.7).astype(float), (rng.random((1, 2000)) < 0.4).astype(float)
    effects = linearised(base, new)[0]
    assert effects.sum() == pytest.approx(0, abs=1e-9)
    before = harmonic_mean(base.mean(), new.mean())
    for half, start in ((base, 0), (new, 4000)):
        wrong, right = int(np.flatnonzero(half[0] == 0)[0]), int(np.flatnonzero(half[0] == 1)[0])
        half[0, wrong] = 1
        gained = harmonic_mean(base.mean(), new.mean()) - before
        half[0, wrong] = 0
        assert effects[start + right] - effects[start + wrong] == pytest.approx(gained, rel=0.01)


def test_a_sum_of_differences_is_taken_image_by_image():
    """(one - other) - (other - one) is twice the difference, with twice its error."""
    once, twice = difference(ONE, OTHER, "H"), contrast([(1, ONE), (-1, OTHER), (-1, OTHER), (1, ONE)], "H")
    assert twice.mean == pytest.approx(2 * once.mean)
    assert twice.error == pytest.approx(2 * once.error)
    assert twice.freedom == pytest.approx(once.freedom)


@pytest.mark.parametrize("split", ["base", "new", "H"])
def test_turning_it_round_turns_the_sign(split):
    one, other = difference(ONE, OTHER, split), difference(OTHER, ONE, split)
    assert one.mean == pytest.approx(-other.mean)
    assert one.error == pytest.approx(other.error)


@pytest.mark.parametrize("split", ["base", "new", "H"])
def test_what_is_the_same_differs_by_nothing_for_certain(split):
    """An identity upgrade: exactly, not to rounding."""
    found = difference(ONE, ONE, split)
    assert (found.mean, found.interval(), found.p_value()) == (0.0, (0.0, 0.0), 1.0)


def test_four_terms_that_cancel_are_nothing_too():
    """What an upgrade did to a module beyond what it did to CLIP, where old and new are the same: rounding must not make a
    difference of it that excludes 0."""
    rng, excluded = np.random.default_rng(0), 0
    for _ in range(2000):
        module, plain = (random_outcome(rng, int(rng.integers(2, 5))) for _ in range(2))
        plain = without_seeds(plain, len(module.right["base"]))
        low, high = contrast([(1, module), (-1, plain), (-1, module), (1, plain)], "H").interval()
        assert abs(low) < 1e-9
        assert abs(high) < 1e-9
        excluded += not low <= 0 <= high
    assert not excluded


def test_one_seed_has_no_interval():
    first = Outcome({part: right[:1] for part, right in ONE.right.items()}, ONE.groups)
    second = Outcome({part: right[:1] for part, right in OTHER.right.items()}, ONE.groups)
    found = difference(first, second, "base")
    assert found.mean == 25.0
    assert not found.known


def test_images_of_one_drawing_count_as_one():
    """Every image twice tells no more than every image once; taken as independent they would promise more."""
    rng = np.random.default_rng(2)
    once = [random_outcome(rng, 3) for _ in range(2)]
    double = {part: np.repeat(groups, 2) for part, groups in GROUPS.items()}
    twice = [Outcome({part: np.repeat(right, 2, axis=1) for part, right in each.right.items()}, double) for each in once]
    apart = {part: np.arange(len(groups)) for part, groups in double.items()}
    for split in ("base", "H"):
        expected, found = difference(*once, split), difference(*twice, split)
        assert found.mean == pytest.approx(expected.mean)
        assert found.error == pytest.approx(expected.error)
        assert found.freedom == pytest.approx(expected.freedom)
        assert difference(*(Outcome(each.right, apart) for each in twice), split).error < 0.95 * expected.error


def test_drawings_of_base_and_new_are_never_the_same():
    """Both halves number theirs from 0. If those were one, errors in the two halves would be thought to go together."""
    assert ONE.drawings("H").tolist() == [0, 0, 1, 2, 3, 4]


# --- how often the intervals are right -----------------------------------------------------------------------------

IMAGES, SEEDS, SPREAD, TRIALS = 100, 3, 0.02, 600
GROUPS = {"base": np.arange(IMAGES), "new": np.arange(IMAGES)}


def random_outcome(rng, seeds: int) -> Outcome:
    right = {part: (rng.random((seeds, IMAGES)) < rng.uniform(0.3, 0.9)).astype(float) for part in GROUPS}
    return Outcome(right, GROUPS)


def without_seeds(outcome: Outcome, seeds: int = SEEDS) -> Outcome:
    """The same answers whatever the seed, as zero-shot's are."""
    return Outcome({part: right[:1].repeat(seeds, axis=0) for part, right in outcome.right.items()}, outcome.groups)


def simulated(rng, levels: dict[str, tuple[float, float]], spread: float = SPREAD) -> list[Outcome]:
    """Two methods on the same images. Images are hard or easy for both; a seed's module has an accuracy of its own, about
    the method's; and in three tenths of the images it goes its own way."""
    found: list[dict[str, np.ndarray]] = [{}, {}]
    for part, both in levels.items():
        hardness = rng.random(IMAGES)
        for right, level in zip(found, both, strict=True):
            own = np.clip(level + rng.normal(0, spread, (SEEDS, 1)), 0.02, 0.98)
            agrees = rng.random((SEEDS, IMAGES)) < 0.7
            right[part] = np.where(agrees, hardness < own, rng.random((SEEDS, IMAGES)) < own).astype(float)
    return [Outcome(right, GROUPS) for right in found]


@pytest.mark.parametrize("spread", [0.0, SPREAD, 0.04])
@pytest.mark.parametrize("split", ["H", "base", "new"])
def test_intervals_cover_a_difference_that_is_known(split, spread):
    """At least 93 % at three seeds and 100 + 100 images."""
    levels = {"base": (0.80, 0.74), "new": (0.55, 0.60)}
    truth = {part: 100 * (one - other) for part, (one, other) in levels.items()}
    truth["H"] = 100 * (harmonic_mean(0.80, 0.55) - harmonic_mean(0.74, 0.60))
    rng, inside = np.random.default_rng(3), 0
    for _ in range(TRIALS):
        low, high = difference(*simulated(rng, levels, spread), split).interval()
        inside += low <= truth[split] <= high
    assert inside / TRIALS >= 0.93


def test_intervals_are_no_wider_than_they_need_be():
    """Covering is easy with intervals that say nothing: theirs is the width that the true spread asks for, within half."""
    levels, rng = {"base": (0.80, 0.74), "new": (0.55, 0.60)}, np.random.default_rng(4)
    found = [difference(*simulated(rng, levels), "H") for _ in range(TRIALS)]
    real = float(np.std([each.mean for each in found]))
    widths = [(high - low) / 2 for low, high in (each.interval() for each in found)]
    assert 1.5 * real < float(np.median(widths)) < 3.2 * real


@pytest.mark.parametrize("split", ["H", "base"])
def test_methods_without_a_difference_are_rarely_told_apart(split):
    levels, rng = {"base": (0.75, 0.75), "new": (0.6, 0.6)}, np.random.default_rng(5)
    apart = 0
    for _ in range(TRIALS):
        low, high = difference(*simulated(rng, levels), split).interval()
        apart += not low <= 0 <= high
    assert apart / TRIALS <= 0.06


def test_a_large_difference_is_found():
    """Ten points, on the same images: nearly always."""
    levels, rng = {"base": (0.80, 0.70), "new": (0.65, 0.55)}, np.random.default_rng(6)
    lows = [difference(*simulated(rng, levels), "H").interval()[0] for _ in range(200)]
    assert np.mean(np.array(lows) > 0) > 0.6


def test_a_sum_of_four_covers_too():
    """The change of a lift: module and zero-shot, on the new backbone and on the old one; zero-shot has no seeds."""
    rng, inside, truth = np.random.default_rng(7), 0, 100 * ((0.70 - 0.72) - (0.75 - 0.60))
    for _ in range(TRIALS):
        new, zero_new = simulated(rng, {"base": (0.70, 0.72), "new": (0.5, 0.5)})
        old, zero_old = simulated(rng, {"base": (0.75, 0.60), "new": (0.5, 0.5)})
        plain = [
            Outcome({p: r[:1].repeat(SEEDS, 0) for p, r in each.right.items()}, GROUPS) for each in (zero_new, zero_old)
        ]
        low, high = contrast([(1, new), (-1, plain[0]), (-1, old), (1, plain[1])], "base").interval()
        inside += low <= truth <= high
    assert inside / TRIALS >= 0.93
