"""Flips: images whose answer changes between right and wrong when the backbone is replaced."""

from __future__ import annotations

import numpy as np

from benchmark.results.metric import Metric
from benchmark.training.evaluation import Predictions


class NegativeFlips(Metric):
    """100 mean(right before and wrong after).

    Source: Yan et al. 2021, "Positive-Congruent Training", equation 1.
    """

    name, label, order = "negative_flip", "negative flips", 10
    higher_is_better = False
    strategies = ("reuse",)
    in_headline = True
    description = (
        "Share of test images that were right with the module on the old backbone and are wrong with it on the new one."
    )

    def value(self, predictions: Predictions) -> float | None:
        if predictions.before is None:
            return None
        return float(100 * np.mean((predictions.before == predictions.labels) & ~predictions.right))


class PositiveFlips(Metric):
    """100 mean(wrong before and right after)."""

    name, label, order = "positive_flip", "positive flips", 11
    higher_is_better = True
    strategies = ("reuse",)
    description = (
        "Share of test images that were wrong with the module on the old backbone and are right with it on the new one."
    )

    def value(self, predictions: Predictions) -> float | None:
        if predictions.before is None:
            return None
        return float(100 * np.mean((predictions.before != predictions.labels) & predictions.right))
