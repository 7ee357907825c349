"""Near-duplicate search: which pictures show the same drawing, by their pixels rather than their names.

The measure is the centred cosine similarity of the ink maps, reduced to 16 x 16 pixels so that a copy that is shifted by
a pixel or hinted differently is still recognised.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

THRESHOLD = 0.95
"""Two pictures of at least this similarity count as one drawing (other stroke widths of a drawing reach it)."""


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
