"""The registry of metrics, and the harmonic mean."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.results.metric import Metric, all_metrics, find_metric, harmonic_mean

PERCENT = st.floats(0, 100)


def test_harmonic_mean_by_hand():
    assert harmonic_mean(82.69, 63.22) == pytest.approx(71.66, abs=0.005)  # CoOp, as published
    assert harmonic_mean(69.34, 74.22) == pytest.approx(71.70, abs=0.005)  # CLIP, as published
    assert harmonic_mean(0, 0) == 0
    assert harmonic_mean(0, 80) == 0
    assert harmonic_mean(50, 50) == 50


@settings(max_examples=50, deadline=None)
@given(base=PERCENT, new=PERCENT)
def test_harmonic_mean_lies_between_and_below_the_arithmetic(base, new):
    found = harmonic_mean(base, new)
    assert min(base, new) - 1e-9 <= found <= max(base, new) + 1e-9
    assert found <= (base + new) / 2 + 1e-9
    assert found == harmonic_mean(new, base)


def test_the_metrics_are_those_of_the_folder_in_their_order():
    names = [metric.name for metric in all_metrics()]
    assert names[0] == "accuracy"
    assert set(names) >= {"accuracy", "negative_flip", "positive_flip", "ece", "mean_per_class_accuracy"}
    assert [metric.order for metric in all_metrics()] == sorted(metric.order for metric in all_metrics())
    assert len(names) == len(set(names))


@pytest.mark.parametrize("metric", all_metrics(), ids=lambda metric: metric.name)
def test_every_metric_describes_itself(metric: Metric):
    assert metric.description.endswith(".")
    assert metric.label
    assert set(metric.strategies) <= {"old", "reuse", "retrain"}
    assert find_metric(metric.name) is metric


def test_an_unknown_metric_is_none():
    assert find_metric("mystery") is None
