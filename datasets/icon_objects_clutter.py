"""The test drawings of the common objects among strokes, speckle and shading."""

import numpy as np

from benchmark.dataset import ArrayImages, Dataset, Examples, Splits
from benchmark.icons.frames import clutter
from benchmark.icons.world import objects


class IconObjectsClutter(Dataset):
    name = "icon-objects-clutter"
    title = "Objects, clutter and noise"
    template = "an icon of a {}"
    context_words = "an icon of a"
    licence = "MIT"
    source = "Tabler Icons, https://tabler.io/icons (the test split of icon-objects, disturbed)"
    variant_of = "icon-objects"

    def load(self):
        clean = objects()
        rng = np.random.default_rng(0)
        disturbed = [clutter(255 - np.asarray(clean.test.images[row].convert("L")), rng) for row in range(len(clean.test))]
        pixels = np.repeat(np.stack(disturbed)[..., None], 3, axis=-1)
        return Splits(clean.classes, test=Examples(ArrayImages(pixels), clean.test.labels, clean.test.groups))
