"""Repairs: costs, accuracies, and what an identity upgrade must give."""

from __future__ import annotations

import math

import pytest
from fixtures.analyses import BASE, HELD_OUT, SEEDS, SHOTS, STEPS, only
from fixtures.household import IDENTITY, NARROWER, UPGRADE

from benchmark.analysis.analyses.repair import Settings


def test_repairs_of_an_identity_upgrade_have_nothing_to_repair(household):
    same = only(household.table("repair"), pair=IDENTITY)
    for name in ("reuse", "retrain", "procrustes"):
        rows = only(same, repair=name)
        assert set(rows.method) == set(STEPS)
        over = rows[["over_reuse", "over_reuse_low", "over_reuse_high"]].to_numpy()
        if name == "procrustes":  # through a map that is the identity but for rounding
            assert over == pytest.approx(0, abs=1e-6)
        else:
            assert (over == 0).all(), name
    for name in STEPS:
        reuse, retrain = (only(same, repair=s, method=name).accuracy.item() for s in ("reuse", "retrain"))
        assert reuse == retrain


def test_every_repair_costs_what_it_says(household):
    table = only(household.table("repair"), pair=UPGRADE)
    training = BASE * SHOTS
    costs = {
        "reuse": (0, 0, 0),
        "procrustes": (0, 0, 0),
        "ensemble": (BASE * HELD_OUT, BASE * HELD_OUT, 0),
        "warm-start-5": (training, training, 5),
        "scratch-5": (training, training, 5),
        "warm-start-20": (training, training, 20),
    }
    for name, expected in costs.items():
        for row in only(table, repair=name).itertuples():
            assert (row.images, row.labels, row.steps) == expected, (name, row.method)
    for name, steps in STEPS.items():
        row = only(table, repair="retrain", method=name).iloc[0]
        assert (row.images, row.labels, row.steps) == (training, training, steps)
    assert set(only(table, repair="warm-start-100").method) == {"clip-adapter"}, "CoOp's whole training is shorter"
    assert (table.seeds == SEEDS).all()
    assert (only(table, repair="reuse").seconds == 0).all()
    assert (only(table, repair="retrain").seconds > 0).all()


def test_a_repair_is_its_accuracy_minus_that_of_reuse_and_of_zero_shot(household):
    table = household.table("repair")
    rows = table[(table.pair != NARROWER) & (table.status == "ok")]
    over, lift = rows.accuracy - rows.reuse, rows.accuracy - rows.zs_new
    assert rows.over_reuse.tolist() == pytest.approx(over.tolist())
    assert rows.lift.tolist() == pytest.approx(lift.tolist())
    assert (rows.over_reuse_low <= rows.over_reuse + 1e-9).all()


def test_an_incompatible_module_has_its_reason_and_its_scratch_training(household):
    """CLIP-Adapter's hidden layer is a quarter of the width: no map between spaces makes it narrower."""
    table = only(household.table("repair"), pair=NARROWER, method="clip-adapter")
    for name in ("reuse", "procrustes", "ensemble", "warm-start-5"):
        row = only(table, repair=name).iloc[0]
        assert row.status == "incompatible", name
        assert "must be" in row.reason
        assert math.isnan(row.accuracy)
    scratch = only(table, repair="scratch-5").iloc[0]
    assert scratch.status == "ok"
    assert math.isnan(scratch.over_reuse), "there is no reuse to compare with"


def test_slow_repairs_are_tried_where_they_are_asked_for() -> None:
    chosen = [repair.name for repair in Settings().chosen]
    assert "transmiter" not in chosen
    assert {"procrustes", "both"} <= set(chosen)
    assert [repair.name for repair in Settings(repairs="trans*,both").chosen] == [
        "transmiter",
        "transport",
        "transport-scaled",
        "both",
    ]
    with pytest.raises(ValueError, match="bot: no such repair"):
        Settings(repairs="both,bot")
