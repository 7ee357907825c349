"""Near-duplicate search: which pictures show the same drawing, by their pixels rather than their names.

The measure is the centred cosine similarity of the ink maps, or of the brightness of photographs, reduced to 16 x 16 pixels
so that a copy that is shifted by a pixel or hinted differently is still recognised.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from benchmark.config.errors import UserError
from benchmark.data.dataset import Examples

THRESHOLD = 0.95
"""Two pictures of at least this similarity count as one drawing (other stroke widths of a drawing reach it)."""

PHOTO_THRESHOLD = 0.98
"""The same for photographs: a copy that was scaled or compressed again."""
LARGEST = 20_000
"""Most images that are compared with each other."""


@dataclass(frozen=True)
class Place:
    """Where an image is."""

    part: str
    row: int
    label: int


@dataclass(frozen=True)
class Duplicates:
    """Groups of two or more images that show the same."""

    identical: list[list[Place]]
    """Pixel by pixel."""
    similar: list[list[Place]] | None
    """Different pixels, one image of each; None if there are too many images to compare."""


def find_duplicates(parts: Mapping[str, Examples]) -> Duplicates:
    """Duplicates within and across the parts of a data set. Images that cannot be read are left out."""
    places: dict[str, list[Place]] = defaultdict(list)
    small: dict[str, np.ndarray] = {}
    for part, examples in parts.items():
        for row, label in enumerate(examples.labels):
            try:
                image = examples.images[row].convert("RGB")
            except UserError:
                continue
            content = hashlib.sha256(f"{image.size}".encode() + image.tobytes()).hexdigest()
            places[content].append(Place(part, row, label))
            if len(small) <= LARGEST and content not in small:
                small[content] = np.asarray(image.convert("L").resize((32, 32), Image.Resampling.BOX))
    identical = [group for group in places.values() if len(group) > 1]
    if not small or len(small) > LARGEST:
        return Duplicates(identical, None if small else [])
    prints = fingerprints(np.stack(list(small.values())))
    pairs = ((left, right) for left, right in similar_pairs(prints, prints, PHOTO_THRESHOLD) if left < right)
    groups: dict[int, list[Place]] = defaultdict(list)
    for content, number in zip(small, merge(range(len(small)), pairs), strict=True):
        groups[number].append(places[content][0])
    return Duplicates(identical, [group for group in groups.values() if len(group) > 1])


def fingerprints(ink: np.ndarray) -> np.ndarray:
    """Unit vectors (N, 256) of ink maps (N, 32, 32); their products are similarities in [-1, 1]."""
    count, size, _ = ink.shape
    small = ink.reshape(count, size // 2, 2, size // 2, 2).mean((2, 4), dtype=np.float32).reshape(count, -1)
    small -= small.mean(1, keepdims=True)
    return small / np.maximum(np.linalg.norm(small, axis=1, keepdims=True), 1e-6)


def similar_pairs(left: np.ndarray, right: np.ndarray, threshold: float = THRESHOLD) -> Iterator[tuple[int, int]]:
    """Index pairs (i, j) of fingerprints whose similarity reaches ``threshold``."""
    for start in range(0, len(left), 1024):
        rows, columns = np.nonzero(left[start : start + 1024] @ right.T >= threshold)
        yield from zip((rows + start).tolist(), columns.tolist(), strict=True)


def merge(labels: Sequence[object], pairs: Iterator[tuple[int, int]]) -> list[int]:
    """Group numbers (by first appearance): items with equal labels, or connected by a chain of pairs, share a group."""
    parent = list(range(len(labels)))

    def root(item: int) -> int:
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    first: dict[object, int] = {}
    for item, label in enumerate(labels):
        parent[root(item)] = root(first.setdefault(label, item))
    for left, right in pairs:
        low, high = sorted((root(left), root(right)))
        parent[high] = low
    numbers: dict[int, int] = {}
    return [numbers.setdefault(root(item), len(numbers)) for item in range(len(labels))]
