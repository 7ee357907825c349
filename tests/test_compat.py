"""The figures about compatibility, each against arithmetic done by hand."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark import compat

PERCENT = st.floats(0, 100)


def test_harmonic_mean_by_hand():
    assert compat.harmonic_mean(82.69, 63.22) == pytest.approx(71.66, abs=0.005)  # CoOp, as published
    assert compat.harmonic_mean(69.34, 74.22) == pytest.approx(71.70, abs=0.005)  # CLIP, as published
    assert compat.harmonic_mean(0, 0) == 0
    assert compat.harmonic_mean(0, 80) == 0
    assert compat.harmonic_mean(50, 50) == 50


@settings(max_examples=50, deadline=None)
@given(base=PERCENT, new=PERCENT)
def test_harmonic_mean_lies_between_and_below_the_arithmetic(base, new):
    found = compat.harmonic_mean(base, new)
    assert min(base, new) - 1e-9 <= found <= max(base, new) + 1e-9
    assert found <= (base + new) / 2 + 1e-9
    assert found == compat.harmonic_mean(new, base)


def test_flips_by_hand():
    """Ten images: right/right 4, right/wrong 1, wrong/right 3, wrong/wrong 2 (one of which changes its mind)."""
    labels = np.zeros(10, int)
    before = np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, 1])
    after = np.array([0, 0, 0, 0, 1, 0, 0, 0, 1, 2])
    assert compat.flips(before, after, labels) == (10.0, 30.0)
    assert compat.flips(after, before, labels) == (30.0, 10.0)
    assert compat.flips(before, before, labels) == (0.0, 0.0)


@settings(max_examples=50, deadline=None)
@given(rows=st.lists(st.tuples(*[st.integers(0, 3)] * 3), min_size=1, max_size=30))
def test_flips_balance_accuracies(rows):
    """Accuracy after = accuracy before - negative + positive."""
    before, after, labels = (np.array(column) for column in zip(*rows, strict=True))
    negative, positive = compat.flips(before, after, labels)
    assert 100 * np.mean(after == labels) == pytest.approx(100 * np.mean(before == labels) - negative + positive)


def test_interval_by_hand():
    """t(0.975, 2) = 4.30265273; mean 3, standard deviation 1: 3 -+ 4.30265 / sqrt(3)."""
    low, high = compat.interval([2.0, 3.0, 4.0])
    assert (low, high) == pytest.approx((3 - 2.4841377, 3 + 2.4841377), abs=1e-6)
    low, high = compat.interval([1.0, 5.0])  # t(0.975, 1) = 12.70620474, standard error 2
    assert (low, high) == pytest.approx((3 - 25.4124095, 3 + 25.4124095), abs=1e-5)
    assert compat.interval([7.0, 7.0, 7.0]) == (7.0, 7.0)


@pytest.mark.parametrize("values", [[], [1.0], [1.0, math.nan], [math.nan, math.inf]])
def test_interval_needs_two_seeds(values):
    assert all(math.isnan(bound) for bound in compat.interval(values))


def test_interval_covers_as_often_as_it_says():
    """Simulated at three seeds: 95 % within sampling error."""
    rng = np.random.default_rng(0)
    draws = rng.normal(1.0, 2.0, (2000, 3))
    inside = [low <= 1.0 <= high for low, high in map(compat.interval, draws)]
    assert 0.935 < np.mean(inside) < 0.965


@pytest.mark.parametrize(
    ("low", "high", "statuses", "expected"),
    [
        (1.5, 4.0, (), "helps"),
        (-4.0, -1.5, (), "harms"),
        (-0.5, 0.9, (), "no effect"),
        (-1.0, 1.0, (), "no effect"),
        (0.2, 0.8, (), "no effect"),
        (0.5, 3.0, (), "helps"),
        (-3.0, -0.5, (), "harms"),
        (-3.0, 3.0, (), "undecided"),
        (-0.5, 1.5, (), "undecided"),
        (math.nan, math.nan, (), "undecided"),
        (math.nan, math.nan, ("unfit",), "does not fit"),
        (math.nan, math.nan, ("unfit", "failed"), "does not fit"),
        (math.nan, math.nan, ("failed",), "no result"),
        (math.nan, math.nan, ("diverged",), "no result"),
    ],
)
def test_verdicts(low, high, statuses, expected):
    assert compat.verdict(low, high, statuses) == expected
    assert expected in compat.VERDICTS


# --- tables -------------------------------------------------------------------------------------------------------


def results() -> pd.DataFrame:
    """Method "m" beside the control "z" on two data sets and three seeds."""
    rows = []
    for dataset, shift in (("a", 0.0), ("b", 20.0)):
        for seed in (1, 2, 3):
            for method, figures in (
                ("m", {"old": 60 + seed, "reuse": 66 + seed, "retrain": 72 + seed}),
                ("z", {"old": 50, "reuse": 62, "retrain": 62}),
            ):
                for strategy, value in figures.items():
                    row = dict.fromkeys(compat.COLUMNS, "") | {"pair": "o->n", "old": "o", "new": "n", "method": method}
                    row |= {"config": "default", "dataset": dataset, "protocol": "base-to-new", "split": "H", "shots": 4}
                    row |= {"seed": seed, "strategy": strategy, "metric": "accuracy", "n": 10, "status": "ok"}
                    rows.append(row | {"value": value + shift})
                    if strategy == "reuse":
                        rows.append(row | {"metric": "negative_flip", "value": 2.0})
                        rows.append(row | {"metric": "positive_flip", "value": 8.0})
    return pd.DataFrame(rows, columns=list(compat.COLUMNS))


def test_lift_and_gain_by_hand():
    table = compat.with_controls(compat.accuracies(results()), "z")
    rows = table[table.method == "m"].set_index(["dataset", "seed"])
    assert rows.lift.tolist() == [66 + seed - 62 for seed in (1, 2, 3)] * 2
    assert rows.gain.tolist() == [6.0] * 6
    assert rows.zs_old.tolist() == [50.0] * 3 + [70.0] * 3
    assert rows.zs_new.tolist() == [62.0] * 3 + [82.0] * 3
    assert rows.retrain_lift.tolist() == [72 + seed - 62 for seed in (1, 2, 3)] * 2
    assert (table[table.method == "z"].lift == 0).all()
    assert (rows.negative_flip == 2).all()


def test_summary_by_hand():
    """Lift per seed 5, 6, 7: mean 6, interval 6 -+ 2.484; retrained 11, 12, 13: retained 6 / 12."""
    table = compat.with_controls(compat.accuracies(results()), "z")
    row = compat.summarise(table).set_index("method").loc["m"]
    assert (row.lift, row.seeds, row.datasets) == (6.0, 3, 2)
    assert (row.lift_low, row.lift_high) == pytest.approx((6 - 2.4841377, 6 + 2.4841377), abs=1e-6)
    assert row.retained == pytest.approx(0.5)
    assert compat.verdict(row.lift_low, row.lift_high) == "helps"
    assert row.old == pytest.approx(72.0)


def test_retained_is_blank_where_retraining_gains_nothing_sure():
    frame = results()
    chosen = (frame.method == "m") & (frame.strategy == "retrain")
    frame.loc[chosen, "value"] = frame.loc[chosen, "value"] - 10
    row = compat.summarise(compat.with_controls(compat.accuracies(frame), "z")).set_index("method").loc["m"]
    assert math.isnan(row.retained)


def test_what_does_not_fit_keeps_its_other_figures():
    frame = results()
    chosen = (frame.method == "m") & (frame.strategy == "reuse") & (frame.metric == "accuracy")
    frame.loc[chosen, "status"] = "unfit"
    frame = frame[~((frame.method == "m") & frame.metric.str.endswith("flip"))]
    row = compat.summarise(compat.with_controls(compat.accuracies(frame), "z")).set_index("method").loc["m"]
    assert compat.verdict(row.lift_low, row.lift_high, {"unfit"}) == "does not fit"
    assert math.isnan(row.reuse)
    assert row.retrain == pytest.approx(84.0)
