"""The catalogue of icon classes."""

from __future__ import annotations

from collections import Counter

from benchmark.data.icons.classes import FRAMES, MODIFIERS, OBJECTS, POINTING_RIGHT
from benchmark.data.icons.families import FAMILIES


def test_the_catalogue_is_consistent():
    names = [each.name for each in OBJECTS]
    assert len(set(names)) == len(names) == 50
    heads = Counter(head for each in OBJECTS for head in each.tabler)
    assert max(heads.values()) == 1
    assert len(set(MODIFIERS.values())) == len(MODIFIERS)
    assert len(set(FRAMES)) == len(FRAMES)
    stems = {glyph.stem for glyph in FAMILIES["tabler"].glyphs()}
    assert set(POINTING_RIGHT) <= stems
    assert len(set(POINTING_RIGHT)) == len(POINTING_RIGHT)
