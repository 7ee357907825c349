"""What ways bring on shifted test sets, against means and t intervals by hand."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from benchmark.results.elsewhere import effects
from benchmark.results.summary import KEYS, Covariances, lift_of, with_baseline

WHERE = ("a->b", "domain", "all")
BOTH = {"strategy": "repair:both", "title": "both backbones", "keeps_old": True}
SEEDS = (1, 2, 3)
LEVELS = {"good": (50, 60, 58, 61), "bad": (45, 40, 50, 50), "flat": (50, 50.2, 50, 50)}
"""By method: old, reuse, retrain, both; no module has 48 on the old backbone and 50 on the new one."""


def table() -> pd.DataFrame:
    """Two shifted sets, the second 10 points harder for all; the own test set is 30 points easier and takes no part."""
    rng, rows = np.random.default_rng(0), []
    for method, levels in {"zero": (48, 50, math.nan, math.nan), **LEVELS}.items():
        for test_set, shift in (("", 30), ("s", 0), ("t", -10)):
            for seed in SEEDS:
                noise = rng.normal(0, 0.05, 4) if method != "zero" else np.zeros(4)
                same = dict(zip(KEYS, ("a->b", method, "default", "data", test_set, "domain", "all", seed), strict=True))
                values = np.array(levels, dtype=float) + shift + noise
                rows.append(same | dict(zip(("old", "reuse", "retrain", "repair:both"), values, strict=True)))
    return with_baseline(pd.DataFrame(rows), "zero")


def test_every_way_has_the_mean_over_the_shifted_sets_and_its_verdict():
    wide = table()
    found = effects(wide, WHERE, Covariances(), "zero", [BOTH])
    assert len(found) == 3 + 4 + 3 + 3  # no module is a candidate for staying only
    assert {who[:2] for who, effect in found.items() if effect.verdict == "harms"} == {
        ("keep", "bad"),
        ("stay", "bad"),
        ("stay", "zero"),
    }
    assert found["keep", "flat", "default"].verdict == "no effect"
    assert found["keep", "good", "default"].verdict == found["repair:both", "good", "default"].verdict == "helps"
    assert found["stay", "zero", "default"].mean == -2.0


@pytest.mark.parametrize(("way", "column", "family"), [("keep", "lift", 3), ("repair:both", lift_of("repair:both"), 3)])
def test_the_interval_holds_for_all_candidates_of_a_way(way, column, family):
    wide = table()
    rows = wide[(wide.method == "good") & (wide.test_set != "")]
    by_seed = rows.groupby("seed")[column].mean()
    half = stats.t.ppf(1 - 0.025 / family, 2) * by_seed.std() / math.sqrt(3)
    effect = effects(wide, WHERE, Covariances(), "zero", [BOTH])[way, "good", "default"]
    assert effect.mean == pytest.approx(by_seed.mean())
    assert effect.interval == pytest.approx((by_seed.mean() - half, by_seed.mean() + half))


def test_what_was_not_measured_is_no_way():
    without = table().drop(columns=["repair:both", lift_of("repair:both")])
    assert {way for way, *_ in effects(without, WHERE, Covariances(), "zero", [BOTH])} == {"keep", "stay", "retrain"}
    assert effects(table(), ("a->b", "cross-dataset", "all"), Covariances(), "zero", [BOTH]) == {}


def test_looks_widen_the_intervals():
    one, ten = (effects(table(), WHERE, Covariances(), "zero", looks=looks)["keep", "good", "default"] for looks in (1, 10))
    assert one.mean == ten.mean
    assert ten.interval[1] - ten.interval[0] > 1.5 * (one.interval[1] - one.interval[0])
