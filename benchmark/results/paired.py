"""Differences of accuracies between two sets of predictions on the same images, with seed and image variance.

Everything compared here is tested on the same images, so a difference is far more certain than either accuracy alone. Images
that show the same drawing count as one. For the harmonic mean H the effect of an image is linearised (delta method).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.results.intervals import Estimate, combine
from benchmark.results.metric import harmonic_mean

DIGITS = 9
"""Decimals of points that are kept: terms that cancel must give 0, not a rounding error with its own interval."""


@dataclass(frozen=True)
class Outcome:
    """Whether each image is right, (seeds, images) of 0 and 1, by test set; and the drawing that each image shows."""

    right: Mapping[str, np.ndarray]
    groups: Mapping[str, np.ndarray]

    def accuracy(self, split: str) -> list[float]:
        """In per cent, by seed. ``split`` is a test set, or H of the sets base and new."""
        if split == "H":
            return [harmonic_mean(b, n) for b, n in zip(self.accuracy("base"), self.accuracy("new"), strict=True)]
        return [float(value) for value in 100 * self.right[split].mean(1)]

    def effects(self, split: str) -> np.ndarray:
        """(seeds, images) first-order effects of the images on the accuracy of their seed, as shares of 1."""
        if split == "H":
            return linearised(self.right["base"], self.right["new"])
        right = self.right[split]
        return (right - right.mean(1, keepdims=True)) / right.shape[1]

    def drawings(self, split: str) -> np.ndarray:
        """(images,) the drawing of each image that ``effects`` has."""
        return joined(self.groups["base"], self.groups["new"]) if split == "H" else self.groups[split]

    def has(self, split: str) -> bool:
        return {"base", "new"} <= self.right.keys() if split == "H" else split in self.right


def difference(one: Outcome, other: Outcome, split: str) -> Estimate:
    """Mean over seeds of ``one`` minus ``other``, in points; its error covers seeds and images."""
    return contrast([(1, one), (-1, other)], split)


def contrast(terms: Sequence[tuple[int, Outcome]], split: str) -> Estimate:
    """Mean over seeds of a weighted sum of accuracies on the same images and seeds, in points."""
    by_seed = np.asarray(sum(weight * np.array(outcome.accuracy(split)) for weight, outcome in terms))
    effects = np.asarray(sum(weight * outcome.effects(split) for weight, outcome in terms)).mean(0)
    drawings = by_drawing(effects, terms[0][1].drawings(split)).round(DIGITS)
    return combine([by_seed.round(DIGITS).tolist()], [image_variance(drawings, drawings)], [len(drawings)])


def linearised(base: np.ndarray, new: np.ndarray) -> np.ndarray:
    """(seeds, images of both halves): the first-order effect of each image on H of its seed, as a share of 1.

    H = 2 b n / (b + n): dH/db = 2 n^2 / (b + n)^2 and the same with b and n exchanged.
    """
    b, n = base.mean(1, keepdims=True), new.mean(1, keepdims=True)
    total = np.maximum(b + n, 1e-12) ** 2
    parts = [2 * n**2 / total * (base - b) / base.shape[1], 2 * b**2 / total * (new - n) / new.shape[1]]
    return np.concatenate(parts, axis=1)


def joined(base: np.ndarray, new: np.ndarray) -> np.ndarray:
    """The drawings of two test sets that share none, numbered so that no number occurs in both."""
    return np.concatenate([base, new + base.max(initial=0) + 1])


def by_drawing(effects: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """(drawings,) the summed effects, in points, of the images (images,) that show the same drawing."""
    _, members = np.unique(groups, return_inverse=True)
    return 100 * np.bincount(members, weights=effects, minlength=members.max(initial=-1) + 1)


def image_variance(one: np.ndarray, other: np.ndarray) -> float:
    """Covariance of two means, in squared points, from the effects of the drawings on each."""
    return float(one @ other) * len(one) / max(1, len(one) - 1)
