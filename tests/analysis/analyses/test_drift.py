"""Drift of tiny CLIPs, stage by stage."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from fixtures.analyses import BASE, only
from fixtures.household import IDENTITY, NAMES, UPGRADE

from benchmark.analysis.analyses import drift
from benchmark.backbones.towers import tower


def table(bench, old: str, new: str) -> pd.DataFrame:
    rows = drift.rows_of("a->b", bench.backbones[old], bench.backbones[new], bench.task, bench.store)
    return pd.DataFrame(rows, columns=drift.ROW)


@pytest.mark.parametrize("name", ["native", "eva"])
def test_a_backbone_has_not_moved_from_itself(name, bench):
    found = table(bench, name, name)
    values = {metric: part.value for metric, part in found.groupby("metric")}
    assert (values["change"] == 0).all()
    assert values["cosine"].to_numpy() == pytest.approx(1)
    known = values["cka"].dropna()
    assert len(known) == len(values["cka"])
    assert known.to_numpy() == pytest.approx(1)
    assert {"input", "output", "class names", "block 1"} <= set(found.stage)


def test_other_weights_are_far(bench):
    found = table(bench, "native", "eva").set_index(["tower", "stage", "metric"]).value
    assert found["text", "block 1", "cosine"] < 0.9
    assert found["text", "output", "cka"] < 0.9
    assert math.isnan(found["vision", "block 1", "change"])  # other names
    assert math.isfinite(found["vision", "block 1", "cka"])


@pytest.mark.parametrize("name", ["native", "eva"])
def test_every_parameter_belongs_to_one_stage(name, bench):
    backbone = bench.backbones[name]
    found = [value for name in drift.TOWERS for stage in tower(backbone, name).stages() for value in stage.values()]
    owned = [value.data_ptr() for value in found]
    assert len(owned) == len(set(owned))
    every = {key: value for key, value in backbone.model.named_parameters() if not key.startswith("logit_")}
    assert {value.data_ptr() for value in every.values()} <= set(owned)


@pytest.mark.parametrize(
    ("count", "other", "expected"),
    [(4, 4, [0, 1, 2, 3]), (4, 6, [0, 1, 4, 5]), (6, 4, [0, 1, 1, 2, 2, 3]), (4, 1, [None, None, None, 0]), (1, 4, [3])],
)
def test_stages_are_matched_by_their_share_of_the_depth(count, other, expected):
    assert drift._matched(count, other) == expected


def test_nothing_drifts_in_an_identity_upgrade(household):
    rows = only(household.table("drift"), pair=IDENTITY)
    assert (only(rows, metric="change").value == 0).all()
    for metric in ("cka", "cosine"):
        assert only(rows, metric=metric).value.tolist() == pytest.approx([1.0] * (len(rows) // 3 + 1), abs=1e-6)


def test_every_stage_of_both_towers_has_its_rows(household):
    rows = only(household.table("drift"), pair=UPGRADE, metric="cka")
    stages = ["input", "block 1", "block 2", "output"]
    assert only(rows, tower="text").stage.tolist() == [*stages, "class names"]
    assert only(rows, tower="vision").stage.tolist() == stages
    assert set(only(rows, tower="text").n) == {len(NAMES)}
    assert set(only(rows, tower="vision").n) == {BASE * 8}
