"""Enclosing shapes: the same small drawings inside a circle, a square, a shield, ..."""

import hashlib

import numpy as np

from benchmark.data import Augmentation, Dataset
from benchmark.data.icons.classes import FRAMES
from benchmark.data.icons.frames import enclose
from benchmark.data.icons.splits import Pool, objects, split


class IconFrames(Dataset):
    name = "icon-frames"
    title = "Enclosing shapes"
    template = "an icon in a {}"
    context_words = "an icon in a"
    licence = "MIT"
    source = "Shapes drawn by this project around Tabler Icons, https://tabler.io/icons"
    shots = 16
    augmentation = Augmentation(crop=(0.8, 1.0), flip=False, rotate=8)

    def load(self):
        inner = objects().train.images
        drawings = range(0, len(inner), len(inner) // 48)
        made = [(row, label) for row in drawings for label in range(len(FRAMES))]
        ink = np.stack([_framed(255 - np.asarray(inner[row].convert("L")), row, label) for row, label in made])
        names = tuple(f"drawing {row}" for row, _ in made)
        pool = Pool(ink, tuple(label for _, label in made), names, tuple(row for row, _ in made))
        return split(pool, FRAMES, train=16, val=4, test=20, spans=True, threshold=0.999)


def _framed(ink, row, label):
    """The stroke's width depends on the picture's name alone."""
    stroke = 6 + hashlib.sha256(f"{row} {label}".encode()).digest()[0] % 6
    return enclose(ink, FRAMES[label], stroke)
