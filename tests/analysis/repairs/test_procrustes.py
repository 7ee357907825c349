"""A module that fits another width after Procrustes alignment."""

from __future__ import annotations

import math

from fixtures.analyses import only, small_repair


def test_a_map_makes_a_module_fit_another_width(tmp_path, backbone_folders):
    """CoOp's context has the width of the text tower, 32 before and 48 after."""
    table = small_repair(tmp_path, backbone_folders, "coop", "wide")
    reuse, procrustes = (only(table, repair=strategy).iloc[0] for strategy in ("reuse", "procrustes"))
    assert (reuse.status, procrustes.status) == ("incompatible", "ok")
    assert 0 <= procrustes.accuracy <= 100
    assert math.isnan(procrustes.over_reuse)
    assert only(table, repair="warm-start-5").iloc[0].status == "incompatible"
