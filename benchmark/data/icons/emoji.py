"""Common objects as OpenMoji draws them, in colour."""

from __future__ import annotations

import emoji

from benchmark.data.dataset import ArrayImages, Examples, Splits
from benchmark.data.icons.classes import OBJECTS
from benchmark.data.icons.families import FAMILIES
from benchmark.data.icons.render import rgb_maps


def objects_as_emoji() -> Splits:
    """Emoji of the object classes that have any; classes without are left out."""
    codes = {entry["en"].strip(":"): _code(character) for character, entry in emoji.EMOJI_DATA.items()}
    drawn = {glyph.name: glyph for glyph in FAMILIES["openmoji"].glyphs()}
    found = [[drawn[codes[name]] for name in each.emoji if codes.get(name) in drawn] for each in OBJECTS]
    present = [label for label, glyphs in enumerate(found) if glyphs]
    glyphs = [glyph for label in present for glyph in found[label]]
    labels = tuple(position for position, label in enumerate(present) for _ in found[label])
    test = Examples(ArrayImages(rgb_maps(glyphs)), labels)
    return Splits(tuple(OBJECTS[label].name for label in present), test=test)


def _code(character: str) -> str:
    """File name of an emoji: its code points without the variation selector that OpenMoji leaves out."""
    return "-".join(f"{ord(part):04X}" for part in character if ord(part) != 0xFE0F or len(character) > 3)
