"""Test drawings of the common objects among strokes, speckle and shading."""

from collections import Counter

import numpy as np

from benchmark.data import ArrayImages, Dataset, Examples, Splits
from benchmark.data.icons.frames import clutter
from benchmark.data.icons.splits import objects

PER_CLASS = 2


class IconObjectsClutter(Dataset):
    name = "icon-objects-clutter"
    title = "Objects, clutter and noise"
    template = "an icon of a {}"
    context_words = "an icon of a"
    licence = "MIT"
    source = "Tabler Icons, https://tabler.io/icons (the test split of icon-objects, disturbed)"
    shift_of = "icon-objects"

    def load(self):
        clean, taken = objects(), Counter()
        rows = []
        for row, label in enumerate(clean.test.labels):
            if taken[label] < PER_CLASS:
                taken[label] += 1
                rows.append(row)
        test = clean.test.pick(rows)
        rng = np.random.default_rng(0)
        disturbed = [clutter(255 - np.asarray(test.images[row].convert("L")), rng) for row in range(len(test))]
        pixels = np.repeat(np.stack(disturbed)[..., None], 3, axis=-1)
        return Splits(clean.classes, test=Examples(ArrayImages(pixels), test.labels, test.groups))
