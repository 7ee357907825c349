"""Test drawings of the common objects among strokes, speckle and shading."""

from collections import Counter

import numpy as np

from benchmark.data import ArrayImages, Examples, Splits
from benchmark.data.icons.dataset import IconDataset
from benchmark.data.icons.frames import clutter
from benchmark.data.icons.splits import objects

PER_CLASS = 2


class IconObjectsClutter(IconDataset):
    name = "icon-objects-clutter"
    title = "Objects, clutter and noise"
    template = "an icon of a {}"
    context_words = "an icon of a"
    licence = "MIT"
    source = "Tabler Icons, https://tabler.io/icons (the test split of icon-objects, disturbed)"
    families = ("tabler",)
    shift_of = "icon-objects"

    def load(self) -> Splits:
        clean = objects()
        counts: Counter[int] = Counter()
        rows = []
        for row, label in enumerate(clean.test.labels):
            if counts[label] < PER_CLASS:
                counts[label] += 1
                rows.append(row)
        test = clean.test.pick(rows)
        rng = np.random.default_rng(0)
        disturbed = [clutter(255 - np.asarray(test.images[row].convert("L")), rng) for row in range(len(test))]
        pixels = np.repeat(np.stack(disturbed)[..., None], 3, axis=-1)
        return Splits(clean.classes, test=Examples(ArrayImages(pixels), test.labels, test.groups))
