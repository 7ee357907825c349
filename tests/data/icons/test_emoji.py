"""Emoji of the object classes."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.data.icons.classes import OBJECTS
from benchmark.data.icons.emoji import _code, objects_as_emoji


@pytest.mark.parametrize(
    ("character", "code"),
    [("\N{GRINNING FACE}", "1F600"), ("\N{HEAVY BLACK HEART}\ufe0f", "2764"), ("1\ufe0f\u20e3", "0031-FE0F-20E3")],
)
def test_file_names_are_code_points_those_of_openmoji(character, code):
    assert _code(character) == code


def test_labels_follow_the_classes_that_have_emoji():
    """In the order of the catalogue, one picture per emoji that OpenMoji draws, in colour."""
    splits = objects_as_emoji()
    names = [kind.name for kind in OBJECTS if kind.emoji]
    assert [name for name in names if name in splits.classes] == list(splits.classes)
    most = {kind.name: len(kind.emoji) for kind in OBJECTS}
    for label, name in enumerate(splits.classes):
        assert 1 <= splits.test.labels.count(label) <= most[name]
    assert splits.test.labels == tuple(sorted(splits.test.labels))
    assert (splits.train, splits.val) == (None, None)
    pixels = splits.test.images.pixels.astype(int)
    assert (np.ptp(pixels, axis=3).max((1, 2)) > 0).mean() > 0.8


def test_keycaps_are_numbers():
    """Their file names keep the variation selector."""
    assert "number" in objects_as_emoji().classes
