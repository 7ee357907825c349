"""Mean per-class accuracy: every class counts the same, however many test images it has."""

from __future__ import annotations

import numpy as np

from benchmark.results.metric import Metric
from benchmark.training.evaluation import Predictions


class MeanPerClassAccuracy(Metric):
    """Mean over classes of the accuracy on their images; classes without test images are left out.

    What papers report for Caltech101, Oxford Flowers, Oxford Pets and FGVC Aircraft (Radford et al. 2021, appendix A).
    """

    name, label, order = "mean_per_class_accuracy", "mean per-class accuracy", 30
    higher_is_better = True
    halves = "harmonic"
    description = "Mean over classes of the accuracy on their images, so that every class counts the same."

    def value(self, predictions: Predictions) -> float:
        images = np.bincount(predictions.labels)
        right = np.bincount(predictions.labels, weights=predictions.right, minlength=len(images))
        return float(100 * np.mean(right[images > 0] / images[images > 0]))
