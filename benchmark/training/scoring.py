"""Anything that scores the classes of a test set, and what follows from its scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from benchmark.data.dataset import TestSet
from benchmark.data.task import Task
from benchmark.training.evaluation import Predictions

Scorer = Callable[[TestSet], torch.Tensor | None]
"""Scores (N, C) of a test set's images, in the order of its classes; None if it cannot score these classes. The softmax of
scores are probabilities."""

Scores = dict[tuple[object, ...], torch.Tensor | None]
"""Of scorers, by whose they are and by what identifies a test set."""
AT_HOME = "the module on the backbone that it was trained on"
"""Whose scores they are that cells of one module share."""


def remembered(known: Scores, scorer: Scorer, whose: str) -> Scorer:
    """A scorer that scores each test set once; ``whose`` tells it from others with the same memory."""

    def score(test: TestSet) -> torch.Tensor | None:
        key = (whose, test.key, test.classes, test.template, test.examples.digest)
        if key not in known:
            known[key] = scorer(test)
        return known[key]

    return score


def predictions_of(task: Task, scorer: Scorer) -> dict[str, Predictions]:
    """Predictions on every test set of a task that can be scored, by its key."""
    predictions = {}
    for test in task.tests:
        logits = scorer(test)
        if logits is not None:
            predicted, confidences = logits.argmax(1), logits.softmax(1).amax(1)
            labels = np.asarray(test.examples.labels)
            predictions[test.key] = Predictions(labels, predicted.numpy().astype(np.uint16), confidences.numpy())
    return predictions


def mixture(parts: Sequence[tuple[float, Scorer]]) -> Scorer:
    """The weighted mean of probabilities, as their logarithms; weights sum to 1."""

    def score(test: TestSet) -> torch.Tensor | None:
        mixed: torch.Tensor | float = 0.0
        for weight, part in parts:
            logits = part(test) if weight else None
            if weight and logits is None:
                return None
            if logits is not None:
                mixed = mixed + weight * logits.softmax(1)
        assert isinstance(mixed, torch.Tensor)
        return mixed.clamp_min(1e-30).log()

    return score
