"""Predictions by themselves: accuracies, pooling, and places of classes in another list."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.training.evaluation import Predictions, accuracy, columns_of


@pytest.mark.parametrize(
    ("names", "among", "columns"),
    [
        (["b", "a"], ["a", "b", "c"], [1, 0]),
        (["a", "b"], ["a", "c"], None),
        (["x", "y", "x"], ["x", "y", "x"], [0, 1, 2]),
        (["x", "x"], ["x", "y"], None),
        ([], ["x"], []),
    ],
)
def test_columns(names, among, columns):
    """Two classes may have the same name: each is used once, in order."""
    assert columns_of(names, among) == columns


def test_accuracy_is_in_per_cent():
    assert accuracy(np.array([0, 1, 2, 2]), np.array([0, 1, 1, 2])) == 75
    predictions = Predictions(np.array([0, 1]), np.array([1, 1]))
    assert (predictions.accuracy, predictions.right.tolist(), len(predictions)) == (50, [False, True], 2)


def test_pooled_test_sets_keep_their_labels_apart():
    one = Predictions(np.array([0, 1], np.uint16), np.array([1, 1], np.uint16), np.array([0.5, 0.6]), np.array([0, 1]))
    other = Predictions(np.array([0, 0], np.uint16), np.array([0, 2], np.uint16), np.array([0.7, 0.8]), np.array([2, 0]))
    pooled = Predictions.pooled([one, other])
    assert pooled.right.tolist() == [False, True, True, False]
    assert not set(pooled.labels[:2]) & set(pooled.labels[2:])
    assert pooled.confidences.tolist() == [0.5, 0.6, 0.7, 0.8]
    assert (pooled.before == pooled.labels).tolist() == [True, True, False, True]


def test_what_one_part_lacks_the_whole_lacks():
    one, other = Predictions(np.array([0]), np.array([0]), np.array([0.5])), Predictions(np.array([0]), np.array([0]))
    assert Predictions.pooled([one, other]).confidences is None
    assert Predictions.pooled([one, one]).confidences.tolist() == [0.5, 0.5]
