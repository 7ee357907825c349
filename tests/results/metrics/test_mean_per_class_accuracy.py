"""Mean per-class accuracy, by hand and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score

from benchmark.results.metrics.mean_per_class_accuracy import MeanPerClassAccuracy
from benchmark.training.evaluation import Predictions


def test_every_class_counts_the_same():
    """Class 0: three of six images right. Class 1: two of two. Class 2 has no images. Class 3: none of one. The mean is
    (1/2 + 1 + 0) / 3."""
    labels = np.array([0, 0, 0, 0, 0, 0, 1, 1, 3])
    predicted = np.array([0, 0, 0, 1, 2, 3, 1, 1, 2])
    predictions = Predictions(labels, predicted)
    assert MeanPerClassAccuracy().value(predictions) == pytest.approx(50.0)
    assert predictions.accuracy == pytest.approx(100 * 5 / 9)


@settings(max_examples=50, deadline=None)
@given(rows=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40))
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_it_is_the_balanced_accuracy_of_scikit_learn(rows):
    labels, predicted = (np.array(column) for column in zip(*rows, strict=True))
    value = MeanPerClassAccuracy().value(Predictions(labels, predicted))
    assert value == pytest.approx(100 * balanced_accuracy_score(labels, predicted))


def test_equal_classes_give_the_accuracy():
    labels = np.repeat(np.arange(3), 4)
    predictions = Predictions(labels, np.where(np.arange(12) % 5 == 0, 0, labels))
    assert MeanPerClassAccuracy().value(predictions) == pytest.approx(predictions.accuracy)
