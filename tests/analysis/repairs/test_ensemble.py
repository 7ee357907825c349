"""The share of zero-shot."""

from __future__ import annotations

import json
import math

from fixtures.analyses import only, small_repair


def test_without_held_out_images_half_is_zero_shots(tmp_path, backbone_folders):
    """There is nothing to choose the share by, and nothing that it costs."""
    table = small_repair(tmp_path, backbone_folders, "clip-adapter", "eva", val=0, test=4)
    row = only(table, repair="ensemble").iloc[0]
    assert (row.status, row.images, row.labels, row.steps) == ("ok", 0, 0, 0)
    assert math.isnan(row.lift_low), "one seed has no interval"
    records = [json.loads(file.read_text()) for file in (tmp_path / "out").glob("cells/*/*/record.json")]
    shares = {each["notes"]["share"] for each in records if each["config"].get("strategy") == "ensemble"}
    assert shares == {0.5}
