"""Expected calibration error: the gap between confidence and accuracy."""

from __future__ import annotations

import numpy as np

from benchmark.results.metric import Metric
from benchmark.training.evaluation import Predictions

BINS = 15
"""Of confidence, equally wide (Guo et al. 2017, section 4)."""


class CalibrationError(Metric):
    """Mean over bins of confidence of |confidence - accuracy|, weighted by images; biased upwards if bins have few images.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", equation 3.
    """

    name, label, order = "ece", "calibration error (ECE)", 20
    higher_is_better = False
    description = (
        "Expected calibration error: the gap between confidence (the largest probability) and accuracy, over 15 equally "
        "wide bins of confidence (Guo et al. 2017). With few images it is biased upwards."
    )

    def value(self, predictions: Predictions) -> float | None:
        if predictions.confidences is None:
            return None
        return calibration_error(predictions.confidences, predictions.right)


def calibration_error(confidences: np.ndarray, right: np.ndarray) -> float:
    """In per cent.

    Args:
        confidences: (N,) largest probability of each image, 0 to 1.
        right: (N,) whether its prediction is right.
    """
    confidence = confidences.astype(np.float64)
    bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)  # each bin holds its upper bound
    gaps = np.bincount(bins, weights=right - confidence, minlength=BINS)
    return float(100 * np.abs(gaps).sum() / len(confidence))
