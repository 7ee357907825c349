"""The images' contribution to the uncertainty: against a brute-force bootstrap over drawings, and by hand."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.results import image_covariance
from benchmark.results.paired import linearised

METHOD, OTHER, BASELINE = ("m", "default"), ("k", "default"), ("z", "default")


def harmonic(base: np.ndarray, new: np.ndarray) -> float:
    """Mean over seeds of H, in points, from (seeds, images) of right and wrong."""
    b, n = base.mean(1), new.mean(1)
    return float(100 * np.mean(2 * b * n / (b + n)))


def answers(rng, images: int, drawings: int, level: float, hardness: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """(seeds, images): drawings are hard or easy for all, images of one drawing nearly alike."""
    own = hardness[groups] + 0.05 * rng.normal(size=(3, images)) + rng.normal(0, 0.02, (3, 1))
    return (own < level).astype(float)


@pytest.fixture
def drawn():
    """Answers of a method, another and the baseline on base and new images: 60 drawings in two images each."""
    rng = np.random.default_rng(5)
    parts = {}
    for part in ("base", "new"):
        groups, hardness = np.repeat(np.arange(60), 2), rng.random(60)
        levels = {METHOD: 0.7, OTHER: 0.65, BASELINE: 0.6}
        parts[part] = groups, {name: answers(rng, 120, 60, level, hardness, groups) for name, level in levels.items()}
    return parts


def test_variance_of_lift_by_hand():
    """Four images in three drawings, two seeds."""
    groups = np.array([0, 0, 1, 2])
    mine, zero = np.array([[1, 1, 0, 1], [1, 0, 0, 1]], float), np.array([[0, 1, 0, 1], [0, 1, 0, 1]], float)
    found = image_covariance._effects({"reuse": {METHOD: mine, BASELINE: zero}, "old": {}, "retrain": {}}, BASELINE, groups)
    lift = np.array([1.0, -0.5, 0.0, 0.0])  # mean over seeds
    centred = 100 * (lift - lift.mean()) / 4
    assert found[METHOD]["lift"] == pytest.approx([centred[0] + centred[1], centred[2], centred[3]])
    assert not found[BASELINE]["lift"].any()
    assert "gain" not in found[METHOD]


@pytest.mark.parametrize("names", [(METHOD, METHOD), (METHOD, OTHER)])
def test_covariance_of_h_is_that_of_a_bootstrap_over_drawings(drawn, names):
    parts = {"old": {}, "retrain": {}}
    right = {name: (drawn["base"][1][name], drawn["new"][1][name]) for name in (METHOD, OTHER, BASELINE)}
    parts["reuse"] = {name: linearised(*halves) for name, halves in right.items()}
    groups = np.concatenate([drawn["base"][0], drawn["new"][0] + 60])
    effects = image_covariance._effects(parts, BASELINE, groups, scaled=True)
    found = float(effects[names[0]]["lift"] @ effects[names[1]]["lift"]) * 120 / 119
    rng, lifts = np.random.default_rng(6), []
    for _ in range(1500):
        rows = [np.concatenate([[2 * d, 2 * d + 1] for d in rng.integers(0, 60, 60)]) for _ in range(2)]
        values = {name: harmonic(base[:, rows[0]], new[:, rows[1]]) for name, (base, new) in right.items()}
        lifts.append([values[name] - values[BASELINE] for name in names])
    expected = float(np.cov(np.array(lifts).T)[0, 1])
    assert found == pytest.approx(expected, rel=0.15)
    assert found > 0


def test_images_of_one_drawing_count_as_one(drawn):
    """Taken as independent, they would promise more than there is."""
    groups, right = drawn["base"]
    sides = {"reuse": {METHOD: right[METHOD], BASELINE: right[BASELINE]}, "old": {}, "retrain": {}}
    together = image_covariance._effects(sides, BASELINE, groups)[METHOD]["lift"]
    apart = image_covariance._effects(sides, BASELINE, np.arange(120))[METHOD]["lift"]
    assert (together @ together) > 1.3 * (apart @ apart)
