"""Directions: arrows turned in steps of 45 degrees, so that every drawing shows all classes."""

import numpy as np

from benchmark.data import Augmentation, Splits
from benchmark.data.icons.classes import COMPASS, POINTING_RIGHT
from benchmark.data.icons.dataset import IconDataset
from benchmark.data.icons.families import FAMILIES
from benchmark.data.icons.render import rotated
from benchmark.data.icons.splits import Pool, split


class IconDirections(IconDataset):
    name = "icon-directions"
    title = "Directions"
    template = "an arrow pointing {}"
    context_words = "an icon of arrow"
    licence = "MIT"
    source = "Tabler Icons, https://tabler.io/icons (outline style, rotated)"
    families = ("tabler",)
    shots = 8
    augmentation = Augmentation(crop=(0.8, 1.0), flip=False, rotate=8)

    def load(self) -> Splits:
        glyphs = [g for g in FAMILIES["tabler"].glyphs() if g.style == "outline" and g.stem in POINTING_RIGHT]
        turned = [(glyph, step) for glyph in glyphs for step in range(len(COMPASS))]
        ink = np.stack([rotated(glyph, 45 * step) for glyph, step in turned])
        stems = tuple(glyph.stem for glyph, _ in turned)
        return split(
            Pool(ink, tuple(step for _, step in turned), stems, stems), COMPASS, train=8, val=4, test=20, spans=True
        )
