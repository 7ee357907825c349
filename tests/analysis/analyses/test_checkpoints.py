"""Checkpoints on the way to a new backbone."""

from __future__ import annotations

import math

import pytest
from fixtures.analyses import STEPS, only
from fixtures.household import IDENTITY

from benchmark.analysis.analyses.checkpoints import _relatedness
from benchmark.method.relatedness import relatedness


def test_checkpoints_have_their_way_and_step(household):
    table = household.table("checkpoints")
    found = table[["pair", "way", "step"]].drop_duplicates().values.tolist()
    assert found == [["native->v2-00010", "v2", 10], ["native->v2-00100", "v2", 100], ["native->v3-00010", "v3", 10]]
    assert set(table.method) == set(STEPS)
    assert (table.status == "ok").all()
    for _, rows in table.groupby("pair"):  # drift is the backbone's, not the method's
        assert len(rows[["text_change", "text_cka", "image_cka", "zs_new"]].drop_duplicates()) == 1
    assert (table.text_change > 0).all()
    assert table.relatedness.between(0, 1).all()
    reuse = only(household.table("repair"), pair=IDENTITY, repair="reuse").set_index("method").accuracy
    assert (only(table, step=10).set_index("method").old == reuse[only(table, step=10).method].to_numpy()).all()


def test_relatedness_is_that_of_the_passage(bench, monkeypatch):
    old, new = bench.backbones["native"], bench.backbones["twin"]
    assert _relatedness(old, new) == pytest.approx(max(0.0, relatedness(old, new)), abs=1e-6)
    monkeypatch.setattr("benchmark.method.space_maps.FEWEST", 10_000)
    assert math.isnan(_relatedness(old, new))
