"""Enclosing shapes and clutter."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.data.icons.classes import FRAMES
from benchmark.data.icons.frames import clutter, enclose, outline

BLANK = np.zeros((32, 32), np.uint8)


@pytest.fixture
def dot() -> np.ndarray:
    """A filled square in the middle."""
    ink = BLANK.copy()
    ink[8:24, 8:24] = 255
    return ink


@pytest.mark.parametrize("shape", FRAMES)
def test_the_drawing_is_inside_the_shape(shape, dot):
    """The middle shows the reduced drawing and nothing else; everything around it is the empty shape."""
    empty, filled = enclose(BLANK, shape, 6), enclose(dot, shape, 6)
    assert (empty.shape, empty.dtype) == ((32, 32), np.uint8)
    assert empty[13:19, 13:19].max() == 0
    assert filled[14:18, 14:18].min() > 240
    outside = np.ones((32, 32), bool)
    outside[9:23, 9:23] = False
    assert np.array_equal(empty[outside], filled[outside])
    assert empty[outside].max() > 100


def test_shapes_differ_and_a_wider_stroke_has_more_ink():
    pictures = [enclose(BLANK, shape, 6) for shape in FRAMES]
    assert len({picture.tobytes() for picture in pictures}) == len(FRAMES)
    for shape in FRAMES:
        assert np.asarray(outline(shape, 11)).mean() > np.asarray(outline(shape, 6)).mean()


def test_an_unknown_shape_is_refused():
    with pytest.raises(ValueError, match="unknown shape 'cube'"):
        outline("cube", 6)


def test_clutter_leaves_the_drawing_dark(dot):
    """Ink stays darker than paper, and pictures depend on the generator only."""
    first, again, other = (clutter(dot, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert first[dot > 0].mean() < first[dot == 0].mean() - 80
