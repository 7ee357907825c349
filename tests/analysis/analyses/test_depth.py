"""Depth: much of what an identity upgrade must give is known beforehand."""

from __future__ import annotations

import pytest
from fixtures.analyses import only
from fixtures.household import IDENTITY, UPGRADE


def test_depth_has_every_layer_and_an_identity_upgrade_changes_nothing_at_any(household):
    table = household.table("depth")
    prompt = only(table, method="layer-prompt", pair=IDENTITY)
    assert prompt.place.tolist() == ["layer 0", "layer 1"]
    assert prompt.order.tolist() == [0, 1]
    same = only(table, pair=IDENTITY)
    assert (same.old == same.reuse).all()
    assert same.change.abs().max() < 1e-9
    other = only(table, pair=UPGRADE, method="layer-prompt")
    change = (other.reuse.astype(float) - other.zs_new.astype(float)) - (
        other.old.astype(float) - other.zs_old.astype(float)
    )
    assert other.change.tolist() == pytest.approx(change.tolist())
    assert (other.old == prompt.old.to_numpy()).all(), "one module of the old backbone serves all upgrades"


def test_an_incompatible_module_says_why(household):
    """LoRA in both towers: the new image tower is wider."""
    rows = only(household.table("depth"), pair=UPGRADE, method="clip-lora")
    assert set(rows.status) == {"incompatible"}
    assert rows.reason.str.contains("must be").all()
    assert rows[["reuse", "lift", "change", "change_low"]].isna().all(axis=None)
    assert rows.old.notna().all()
