"""Accuracy, by hand."""

from __future__ import annotations

import numpy as np

from benchmark.results.metrics.accuracy import Accuracy
from benchmark.training.evaluation import Predictions


def test_accuracy_is_the_share_of_right_predictions():
    assert Accuracy().value(Predictions(np.array([0, 1, 2, 2]), np.array([0, 1, 1, 2]))) == 75.0
