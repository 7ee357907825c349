"""Rendering of glyphs, and its cache."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.data.cache import load_array, save_array
from benchmark.data.icons import render
from benchmark.data.icons.families import FAMILIES
from benchmark.data.icons.render import ink_maps


def test_right_points_right_and_up_points_up():
    """An arrowhead puts more ink on the side it points to: the spread across the shaft is widest near the tip."""
    (arrow,) = [g for g in FAMILIES["tabler"].glyphs() if g.stem == "arrow-narrow-right" and g.style == "outline"]
    right, up = render.rotated(arrow, 0) > 80, render.rotated(arrow, 90) > 80
    assert right[:, 16:].any(1).sum() > right[:, :16].any(1).sum()
    assert up[:16].any(0).sum() > up[16:].any(0).sum()


@pytest.mark.parametrize("damage", ["torn", "empty", "short", "pixel"])
def test_a_torn_render_is_drawn_again(damage, tmp_path, monkeypatch):
    monkeypatch.setenv("CLIP_COMPAT_CACHE", str(tmp_path))
    glyphs = FAMILIES["tabler"].glyphs()[:4]
    right = ink_maps(glyphs)
    (file,) = (tmp_path / "icons").glob("*.safetensors")
    if damage == "short":
        save_array(file, right[:2])
    elif damage == "pixel":
        file.write_bytes(file.read_bytes()[:-1] + b"?")
    else:
        file.write_bytes(b"" if damage == "empty" else file.read_bytes()[:-50])
    assert np.array_equal(ink_maps(glyphs), right)
    assert np.array_equal(load_array(file), right)


def test_drawings_are_trimmed_and_centred():
    for ink in ink_maps(FAMILIES["tabler"].glyphs()[:40]):
        rows, columns = np.nonzero(ink.max(1))[0], np.nonzero(ink.max(0))[0]
        assert max(np.ptp(rows), np.ptp(columns)) + 1 <= 28
        assert abs((rows[0] + rows[-1]) / 2 - 15.5) <= 1.5
        assert abs((columns[0] + columns[-1]) / 2 - 15.5) <= 1.5
