"""results.csv and runs.csv from records, by hand: H of pooled and harmonic metrics, flips, failures."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmark.data import dataset
from benchmark.data.dataset import ArrayImages, Examples
from benchmark.data.task import Task, TaskId
from benchmark.experiment.plan import Configuration, PlannedRepair
from benchmark.experiment.store import CONFIDENCE
from benchmark.results import metric, tables
from benchmark.results.cell_reader import CellReader
from benchmark.results.metric import Metric, all_metrics
from benchmark.results.tables import ResultRows
from benchmark.training.evaluation import Predictions

LABELS = {"base": (0, 0, 0, 1), "new": (0, 1, 1, 1, 1, 1)}
PREDICTED = {
    "old": {"base": (0, 0, 1, 1), "new": (0, 1, 0, 0, 0, 0)},
    "reuse": {"base": (0, 1, 0, 0), "new": (0, 1, 1, 1, 0, 0)},
}
CONFIDENCES = {"base": (0.9, 0.9, 0.9, 0.5), "new": (0.5, 0.9, 0.9, 0.9, 0.9, 0.5)}


def task() -> Task:
    def examples(part: str) -> Examples:
        return Examples(ArrayImages(np.zeros((len(LABELS[part]), 2, 2, 3), np.uint8)), LABELS[part])

    tests = tuple(dataset.TestSet(part, examples(part), ("a", "b"), "a {}.") for part in ("base", "new"))
    return SimpleNamespace(id=TaskId("toy", "base-to-new", 4, 1), shots=4, tests=tests)  # type: ignore[return-value]


class Records:
    """A store of three cells: trained and tested on old, reused on new, and a failed retraining."""

    def record(self, key: str) -> dict[str, Any] | None:
        known = {"old": {"status": "ok"}, "reuse": {"status": "ok"}, "retrain": {"status": "failed", "reason": "boom"}}
        return known.get(key)

    def arrays(self, key: str, record: dict[str, Any] | None) -> dict[str, np.ndarray]:
        predicted = {part: np.array(row) for part, row in PREDICTED[key].items()}
        return predicted | {part + CONFIDENCE: np.array(row) for part, row in CONFIDENCES.items()}


def cell_of(configuration: Configuration, task: TaskId, trained: str, tested: str) -> SimpleNamespace:
    return SimpleNamespace(key={"oo": "old", "on": "reuse", "nn": "retrain"}[trained + tested])


def results(store: Any = None, repairs: tuple[PlannedRepair, ...] = ()) -> pd.DataFrame:
    plan = SimpleNamespace(
        pairs=[("o", "n")],
        configurations=[Configuration("m", "default", {})],
        tasks={task().id: task()},
        find=cell_of,
        repairs=repairs,
        find_repair=lambda *_: SimpleNamespace(key="reuse"),
    )
    rows = ResultRows(plan, CellReader(store or Records()))  # type: ignore[arg-type]
    rows.add([task()])
    return rows.table()


def value(table: pd.DataFrame, name: str, strategy: str, split: str) -> float:
    (row,) = table[(table.metric == name) & (table.strategy == strategy) & (table.split == split)].itertuples()
    return float(row.value)


def test_h_of_accuracy_is_the_harmonic_mean():
    """Reuse: 2 of 4 and 4 of 6 are right."""
    table = results()
    assert value(table, "accuracy", "reuse", "base") == 50.0
    assert value(table, "accuracy", "reuse", "new") == pytest.approx(66.6667)
    assert value(table, "accuracy", "reuse", "H") == pytest.approx(2 * 50 * (200 / 3) / (50 + 200 / 3), abs=1e-4)


def test_h_of_mean_per_class_accuracy_is_the_harmonic_mean():
    """Base: (2/3 + 0) / 2. New: (1 + 3/5) / 2."""
    table, base, new = results(), 100 / 3, 80.0
    assert value(table, "mean_per_class_accuracy", "reuse", "base") == pytest.approx(base, abs=1e-4)
    assert value(table, "mean_per_class_accuracy", "reuse", "new") == pytest.approx(new)
    assert value(table, "mean_per_class_accuracy", "reuse", "H") == pytest.approx(2 * base * new / (base + new), abs=1e-4)


def test_h_of_flips_is_over_all_images():
    """Right before and wrong after: 2 of 4 base images (the second and the fourth) and none of 6 new ones."""
    table = results()
    assert value(table, "negative_flip", "reuse", "base") == 50.0
    assert value(table, "negative_flip", "reuse", "new") == 0.0
    assert value(table, "negative_flip", "reuse", "H") == 20.0
    assert value(table, "positive_flip", "reuse", "H") == pytest.approx(100 * 3 / 10)
    assert set(table[table.metric == "negative_flip"].strategy) == {"reuse"}
    assert (table[(table.metric == "negative_flip") & (table.split == "H")].n == 10).all()


def test_h_of_the_calibration_error_is_over_all_images():
    """Bins 0.9 (seven images, five right) and 0.5 (three images, one right)."""
    expected = 100 * (0.7 * abs(0.9 - 5 / 7) + 0.3 * abs(0.5 - 1 / 3))
    assert value(results(), "ece", "reuse", "H") == pytest.approx(expected, abs=1e-4)


def test_a_cell_without_values_has_one_row_per_split_with_its_reason():
    table = results()
    rows = table[table.strategy == "retrain"]
    assert rows[["split", "metric", "status", "reason"]].to_numpy().tolist() == [
        ["base", "accuracy", "failed", "boom"],
        ["new", "accuracy", "failed", "boom"],
    ]
    assert rows.value.isna().all()


def test_a_cell_that_was_not_run_is_skipped():
    store = Records()
    store.record = lambda key: None  # type: ignore[method-assign]
    assert set(results(store).status) == {"skipped"}
    assert set(results(store).reason) == {"not run"}


class RightInFirstHalf(Metric):
    """A metric in a file of its own, as far as the tables can tell."""

    name, label, order = "first_half", "accuracy of the first half", 99
    higher_is_better = True
    strategies = ("reuse",)

    def value(self, predictions: Predictions) -> float | None:
        half = len(predictions) // 2
        return 100 * float(predictions.right[:half].mean())


def test_a_new_metric_needs_nothing_but_its_class(monkeypatch):
    every = (*all_metrics(), RightInFirstHalf())
    for module in (metric, tables):
        monkeypatch.setattr(module, "all_metrics", lambda: every)
    table = results()
    assert value(table, "first_half", "reuse", "base") == 50.0
    assert value(table, "first_half", "reuse", "new") == 100.0
    assert value(table, "first_half", "reuse", "H") == 60.0, "of the first five of ten images"
    assert set(table[table.metric == "first_half"].strategy) == {"reuse"}


def test_early_records_without_confidences_have_no_calibration_error():
    store = Records()
    store.arrays = lambda key, record: {part: np.array(row) for part, row in PREDICTED[key].items()}  # type: ignore[method-assign]
    table = results(store)
    assert "ece" not in set(table.metric)
    assert value(table, "accuracy", "reuse", "base") == 50.0


def test_a_repair_has_accuracies_and_no_other_metric():
    """Calibration of a mixture is another matter, and flips are those of plain reuse."""
    table = results(repairs=(PlannedRepair("both", 1),))
    rows = table[table.strategy == "repair:both"]
    assert set(rows.metric) == {"accuracy"}
    plain = table[(table.strategy == "reuse") & (table.metric == "accuracy")]
    assert rows.value.tolist() == plain.value.tolist()
