"""Enclosing shapes: the same small drawings inside a circle, a square, a shield, ..."""

import hashlib

import numpy as np

from benchmark.data import Augmentation, Splits
from benchmark.data.icons.classes import FRAMES
from benchmark.data.icons.dataset import IconDataset
from benchmark.data.icons.frames import enclose
from benchmark.data.icons.splits import Pool, objects, split


class IconFrames(IconDataset):
    name = "icon-frames"
    title = "Enclosing shapes"
    template = "an icon in a {}"
    context_words = "an icon in a"
    licence = "MIT"
    source = "Shapes drawn by this project around Tabler Icons, https://tabler.io/icons"
    families = ("tabler",)
    shots = 16
    augmentation = Augmentation(crop=(0.8, 1.0), flip=False, rotate=8)

    def load(self) -> Splits:
        train = objects().train
        assert train is not None
        inner = train.images
        drawings = range(0, len(inner), len(inner) // 48)
        pictures = [(row, label) for row in drawings for label in range(len(FRAMES))]
        ink = np.stack([_framed(255 - np.asarray(inner[row].convert("L")), row, label) for row, label in pictures])
        names = tuple(f"drawing {row}" for row, _ in pictures)
        pool = Pool(ink, tuple(label for _, label in pictures), names, tuple(row for row, _ in pictures))
        return split(pool, FRAMES, train=16, val=4, test=20, spans=True, threshold=0.999)


def _framed(ink: np.ndarray, row: int, label: int) -> np.ndarray:
    """The width of the stroke depends only on drawing and shape."""
    stroke = 6 + hashlib.sha256(f"{row} {label}".encode()).digest()[0] % 6
    return enclose(ink, FRAMES[label], stroke)
