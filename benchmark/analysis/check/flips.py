"""Which images and classes change sides when a module moves to another backbone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmark.training.evaluation import Predictions


@dataclass(frozen=True)
class ClassFlips:
    """One class: how many of its test images, and how many of them went wrong and became right."""

    label: int
    images: int
    lost: int
    won: int

    @property
    def net(self) -> float:
        """Change of its accuracy, in points."""
        return 100 * (self.won - self.lost) / self.images


@dataclass(frozen=True, eq=False)
class Flips:
    """From one set of predictions to another, of the same images."""

    lost: np.ndarray
    """Rows that were right and are wrong, those of which the new answer is most sure first."""
    won: np.ndarray
    """Rows that were wrong and are right."""
    by_class: tuple[ClassFlips, ...]
    """Worst first."""


def flips(before: Predictions, after: Predictions) -> Flips:
    """What changes from ``before`` to ``after``."""
    labels = after.labels
    lost, won = before.right & ~after.right, ~before.right & after.right
    classes = [
        ClassFlips(int(label), *(int((rows & (labels == label)).sum()) for rows in (labels >= 0, lost, won)))
        for label in np.unique(labels)
    ]
    return Flips(_surest(lost, after), _surest(won, after), tuple(sorted(classes, key=lambda row: (row.net, row.label))))


def _surest(rows: np.ndarray, predictions: Predictions) -> np.ndarray:
    found = np.flatnonzero(rows)
    if predictions.confidences is None:
        return found
    return found[np.argsort(-predictions.confidences[found], kind="stable")]
