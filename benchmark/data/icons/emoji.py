"""Common objects as OpenMoji draws them, in colour."""

from __future__ import annotations

from benchmark.data.dataset import ArrayImages, Examples, Splits
from benchmark.data.icons.classes import OBJECTS
from benchmark.data.icons.families import FAMILIES, Glyph
from benchmark.data.icons.render import rgb_maps


def objects_as_emoji() -> Splits:
    """Emoji of the object classes; classes without an emoji are left out."""
    import emoji  # optional: only this data set needs it

    files = {glyph.name: glyph for glyph in FAMILIES["openmoji"].glyphs()}
    drawn: dict[str, Glyph] = {}  # several forms of a character have one name
    for character, entry in emoji.EMOJI_DATA.items():
        if _code(character) in files:
            drawn.setdefault(entry["en"].strip(":"), files[_code(character)])
    by_class = [[drawn[name] for name in kind.emoji if name in drawn] for kind in OBJECTS]
    present = [label for label, glyphs in enumerate(by_class) if glyphs]
    glyphs = [glyph for label in present for glyph in by_class[label]]
    labels = tuple(position for position, label in enumerate(present) for _ in by_class[label])
    test = Examples(ArrayImages(rgb_maps(glyphs)), labels)
    return Splits(tuple(OBJECTS[label].name for label in present), test=test)


def _code(character: str) -> str:
    """File name of an emoji: its code points without the variation selector, which OpenMoji omits after a single one."""
    return "-".join(f"{ord(part):04X}" for part in character if ord(part) != 0xFE0F or len(character) > 2)
