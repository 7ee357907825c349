"""Modifiers: the small sign next to the main object of an icon."""

from benchmark.data import Augmentation, Splits
from benchmark.data.icons.classes import MODIFIERS
from benchmark.data.icons.dataset import IconDataset
from benchmark.data.icons.families import FAMILIES
from benchmark.data.icons.render import ink_maps
from benchmark.data.icons.splits import Pool, split


class IconModifiers(IconDataset):
    name = "icon-modifiers"
    title = "Modifiers"
    template = "an icon with {}"
    context_words = "an icon of something with"
    licence = "MIT"
    source = "Tabler Icons, https://tabler.io/icons (outline style)"
    families = ("tabler",)
    shots = 16
    augmentation = Augmentation(crop=(0.85, 1.0), flip=False)

    def load(self) -> Splits:
        ends = list(MODIFIERS)
        glyphs = [
            glyph
            for glyph in FAMILIES["tabler"].glyphs()
            if glyph.style == "outline" and "-" in glyph.stem and glyph.stem.rsplit("-", 1)[1] in ends
        ]
        labels = tuple(ends.index(glyph.stem.rsplit("-", 1)[1]) for glyph in glyphs)
        stems = tuple(glyph.stem for glyph in glyphs)
        pool = Pool(ink_maps(glyphs), labels, stems, stems)
        return split(pool, list(MODIFIERS.values()), train=16, val=4, test=16)
