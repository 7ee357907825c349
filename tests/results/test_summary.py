"""Lift, gain, retained and verdicts, each against arithmetic done by hand."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from benchmark.results import summary


@pytest.mark.parametrize(
    ("mean", "p", "p_outside", "statuses", "expected"),
    [
        (3.0, 0.01, 0.9, (), "helps"),
        (-3.0, 0.01, 0.9, (), "harms"),
        (0.1, 0.6, 0.01, (), "no effect"),
        (0.5, 0.01, 0.01, (), "no effect"),
        (3.0, 0.2, 0.9, (), "undecided"),
        (3.0, 0.05, 0.05, (), "undecided"),
        (3.0, math.nan, math.nan, (), "undecided"),
        (math.nan, math.nan, math.nan, (), "undecided"),
        (math.nan, math.nan, math.nan, ("incompatible",), "incompatible"),
        (math.nan, math.nan, math.nan, ("incompatible", "failed"), "incompatible"),
        (math.nan, math.nan, math.nan, ("failed",), "no result"),
        (math.nan, math.nan, math.nan, ("diverged",), "no result"),
    ],
)
def test_verdicts(mean, p, p_outside, statuses, expected):
    assert summary.verdict(mean, p, p_outside, statuses) == expected
    assert expected in summary.VERDICTS


# --- tables -------------------------------------------------------------------------------------------------------


def results() -> pd.DataFrame:
    """Method "m" and the baseline "z" on two data sets and three seeds."""
    rows = []
    for dataset, shift in (("a", 0.0), ("b", 20.0)):
        for seed in (1, 2, 3):
            for method, accuracies in (
                ("m", {"old": 60 + seed, "reuse": 66 + seed, "retrain": 72 + seed}),
                ("z", {"old": 50, "reuse": 62, "retrain": 62}),
            ):
                for strategy, value in accuracies.items():
                    row = dict.fromkeys(summary.COLUMNS, "") | {"pair": "o->n", "old": "o", "new": "n", "method": method}
                    row |= {"config": "default", "dataset": dataset, "protocol": "base-to-new", "split": "H", "shots": 4}
                    row |= {"seed": seed, "strategy": strategy, "metric": "accuracy", "n": 10, "status": "ok"}
                    rows.append(row | {"value": value + shift})
                    if strategy == "reuse":
                        rows.append(row | {"metric": "negative_flip", "value": 2.0})
                        rows.append(row | {"metric": "positive_flip", "value": 8.0})
    return pd.DataFrame(rows, columns=list(summary.COLUMNS))


def test_lift_and_gain_by_hand():
    table = summary.with_baseline(summary.wide(results()), "z")
    rows = table[table.method == "m"].set_index(["dataset", "seed"])
    assert rows.lift.tolist() == [66 + seed - 62 for seed in (1, 2, 3)] * 2
    assert rows.gain.tolist() == [6.0] * 6
    assert rows.zs_old.tolist() == [50.0] * 3 + [70.0] * 3
    assert rows.zs_new.tolist() == [62.0] * 3 + [82.0] * 3
    assert rows.retrain_lift.tolist() == [72 + seed - 62 for seed in (1, 2, 3)] * 2
    assert (table[table.method == "z"].lift == 0).all()
    assert (rows.negative_flip_reuse == 2).all()
    assert (rows.positive_flip_reuse == 8).all()


def test_summary_by_hand():
    """Lift per seed 5, 6, 7 on two data sets: mean 6, variance (1 / 3 + 1 / 3) / 4 with 4 degrees of freedom; retrained 11,
    12, 13: retained 6 / 12."""
    table = summary.with_baseline(summary.wide(results()), "z")
    row = summary.summarise(table, baseline="z").set_index("method").loc["m"]
    half = stats.t.ppf(0.975, 4) * math.sqrt(1 / 6)
    assert (row.lift, row.seeds, row.datasets) == (6.0, 3, 2)
    assert (row.lift_low, row.lift_high) == pytest.approx((6 - half, 6 + half))
    assert row.p == pytest.approx(2 * stats.t.sf(6 / math.sqrt(1 / 6), 4))
    assert row.retained == pytest.approx(0.5)
    assert 0 < row.retained_low < 0.5 < row.retained_high < 1
    assert summary.verdict(row.lift, row.p, row.p_outside) == "helps"
    assert row.old == pytest.approx(72.0)
    zero = summary.summarise(table, baseline="z").set_index("method").loc["z"]
    assert math.isnan(zero.p), "the baseline is not judged"


def images(covariance: float) -> pd.DataFrame:
    """The images' contribution for "m" on both data sets."""
    rows = []
    for dataset in ("a", "b"):
        same = {"pair": "o->n", "dataset": dataset, "protocol": "base-to-new", "shots": 4, "test_set": "", "split": "H"}
        for quantity in ("lift", "gain", "retrain_lift", "retained"):
            own = {"quantity": quantity, "method": "m", "config": "default", "other": "m", "other_config": "default"}
            rows.append(same | own | {"covariance": covariance, "drawings": 50})
    return pd.DataFrame(rows)


def test_images_widen_the_interval_by_hand():
    table = summary.with_baseline(summary.wide(results()), "z")
    row = summary.summarise(table, summary.Covariances(images(0.5))).set_index("method").loc["m"]
    variance = (1 / 3 + 1 / 3 + 0.5 + 0.5) / 4
    freedom = variance**2 / (2 * (1 / 12) ** 2 / 2 + 2 * (0.5 / 4) ** 2 / 49)
    half = stats.t.ppf(1 - 0.025 / 2, freedom) * math.sqrt(variance)
    assert (row.lift_low, row.lift_high) == pytest.approx((6 - half, 6 + half))


def test_covariances_of_several_test_sets():
    """The mean over two test sets of one data set has a quarter of the sum of their variances; it is unknown if one is."""
    table = images(0.5)
    known = summary.Covariances(table.assign(test_set=["", "x"] * 4, dataset="a"))
    name, where = ("m", "default"), ("o->n", "base-to-new", "H")
    assert known.of("gain", where, name, name, [("a", "x")]) == (0.5, 50)
    assert math.isnan(known.of("gain", where, name, name, [("a", "x"), ("a", "gone")])[0])
    both = summary.Covariances(pd.concat([table.assign(dataset="a"), table.assign(dataset="a", test_set="x")]))
    assert both.of("lift", where, name, name, [("a", ""), ("a", "x")]) == (0.25, 50)


def test_ranks_are_of_methods_compared_seed_by_seed():
    """ "m" is 5 points above "k" on every seed, whatever the seeds do; the baseline takes no part."""
    frame = results()
    other = frame[frame.method == "m"].assign(method="k")
    other.loc[other.strategy == "reuse", "value"] -= np.where(
        other[other.strategy == "reuse"].metric == "accuracy", 5.0, 0.0
    )
    table = summary.with_baseline(summary.wide(pd.concat([frame, other])), "z")
    where = ("o->n", "base-to-new", "H")
    assert summary.rank_intervals(table, [("m", "default"), ("k", "default")], where, summary.Covariances()) == [
        (1, 1),
        (2, 2),
    ]
    assert summary.rank_intervals(table, [("m", "default"), ("m", "default")], where, summary.Covariances()) == [
        (1, 2),
        (1, 2),
    ]


@pytest.mark.parametrize(("covariance", "ranks"), [(9.0, [(1, 1), (2, 2)]), (None, [(1, 2), (1, 2)])])
def test_an_unknown_covariance_of_two_methods_separates_no_ranks(covariance, ranks):
    """As that of methods from two runs: the image variance of their difference is taken to be as large as it can be."""
    frame = results()
    other = frame[frame.method == "m"].assign(method="k")
    other.loc[(other.strategy == "reuse") & (other.metric == "accuracy"), "value"] -= 5.0
    table = summary.with_baseline(summary.wide(pd.concat([frame, other])), "z")
    one = images(9.0)
    parts = [one, one.assign(method="k", other="k")]
    if covariance is not None:
        parts.append(one.assign(other="k", covariance=covariance))
    names = [("m", "default"), ("k", "default")]
    where, known = ("o->n", "base-to-new", "H"), summary.Covariances(pd.concat(parts))
    assert summary.rank_intervals(table, names, where, known) == ranks


def test_retained_is_blank_where_retraining_does_not_gain_significantly():
    frame = results()
    chosen = (frame.method == "m") & (frame.strategy == "retrain")
    frame.loc[chosen, "value"] = frame.loc[chosen, "value"] - 10
    row = summary.summarise(summary.with_baseline(summary.wide(frame), "z")).set_index("method").loc["m"]
    assert math.isnan(row.retained)


def test_an_incompatible_module_keeps_its_other_values():
    frame = results()
    chosen = (frame.method == "m") & (frame.strategy == "reuse") & (frame.metric == "accuracy")
    frame.loc[chosen, "status"] = "incompatible"
    frame = frame[~((frame.method == "m") & frame.metric.str.endswith("flip"))]
    row = summary.summarise(summary.with_baseline(summary.wide(frame), "z")).set_index("method").loc["m"]
    assert summary.verdict(row.lift, row.p, row.p_outside, {"incompatible"}) == "incompatible"
    assert math.isnan(row.reuse)
    assert row.retrain == pytest.approx(84.0)
