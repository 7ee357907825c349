"""Which images change sides, by class."""

from __future__ import annotations

import numpy as np

from benchmark.analysis.check.flips import flips
from benchmark.training.evaluation import Predictions

LABELS = np.array([0, 0, 0, 1, 1, 2])


def test_flips_by_image_and_class():
    before = Predictions(LABELS, np.array([0, 0, 1, 1, 0, 2]))
    after = Predictions(LABELS, np.array([1, 2, 0, 1, 1, 2]), np.array([0.4, 0.9, 0.5, 0.5, 0.8, 0.5]))
    found = flips(before, after)
    assert found.lost.tolist() == [1, 0], "the surest wrong answer first"
    assert found.won.tolist() == [4, 2]
    assert [(row.label, row.images, row.lost, row.won) for row in found.by_class] == [
        (0, 3, 2, 1),
        (2, 1, 0, 0),
        (1, 2, 0, 1),
    ]
    assert [round(row.net, 1) for row in found.by_class] == [-33.3, 0.0, 50.0]


def test_without_confidences_the_order_is_that_of_the_images():
    before, after = Predictions(LABELS, LABELS), Predictions(LABELS, np.array([1, 1, 1, 1, 1, 1]))
    assert flips(before, after).lost.tolist() == [0, 1, 2, 5]
