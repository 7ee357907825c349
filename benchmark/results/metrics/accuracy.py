"""Accuracy: the share of right predictions."""

from __future__ import annotations

import numpy as np

from benchmark.results.metric import PRIMARY, Metric
from benchmark.training.evaluation import Predictions


class Accuracy(Metric):
    """100 mean(predicted = label)."""

    name, label, order = PRIMARY, "accuracy", 0
    higher_is_better = True
    halves = "harmonic"
    in_headline = True
    description = "Share of test images whose prediction is right."

    def value(self, predictions: Predictions) -> float:
        return float(100.0 * np.mean(predictions.right))
