"""The CSVs, derived from the records: results.csv (figures) and runs.csv (time, memory, sizes)."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from benchmark.data.task import Task
from benchmark.experiment.plan import Cell, Configuration, Plan
from benchmark.experiment.store import Store, write_atomically
from benchmark.results.metrics import calibration_error, flips, harmonic_mean
from benchmark.results.summary import COLUMNS

RUN_COLUMNS = (
    "key kind method config backbone dataset protocol seed status seconds train_seconds peak_mb parameters steps".split()
)


def results(plan: Plan, store: Store) -> pd.DataFrame:
    """All figures of a plan, one row each, sorted; a cell without figures has one row with its status and reason."""
    reader = _Reader(plan, store)
    rows = [
        row
        for old, new in plan.pairs
        for configuration in plan.configurations
        for task in plan.tasks.values()
        for row in reader.rows(old, new, configuration, task)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


class _Reader:
    """Turns the records of one pair, method and task into rows."""

    def __init__(self, plan: Plan, store: Store) -> None:
        self.plan, self.store = plan, store
        self.record = lru_cache(maxsize=None)(store.record)
        self.predictions = lru_cache(maxsize=None)(store.predictions)
        self.confidences = lru_cache(maxsize=None)(store.confidences)

    def rows(self, old: str, new: str, configuration: Configuration, task: Task) -> Iterator[dict[str, Any]]:
        same = {
            "pair": f"{old}->{new}",
            "old": old,
            "new": new,
            "method": configuration.method,
            "config": configuration.label,
            "dataset": task.id.dataset,
            "protocol": task.id.protocol,
            "shots": task.shots,
            "seed": task.id.seed,
        }
        before = self.plan.find(configuration, task.id, old, old)
        for strategy, trained, tested in (("old", old, old), ("reuse", old, new), ("retrain", new, new)):
            cell = self.plan.find(configuration, task.id, trained, tested)
            assert cell is not None
            yield from self._cell(same | {"strategy": strategy}, cell, before if strategy == "reuse" else None, task)

    def _cell(self, same: dict[str, Any], cell: Cell, before: Cell | None, task: Task) -> Iterator[dict[str, Any]]:
        record = self.record(cell.key)
        status = "skipped" if record is None else record["status"]
        if record is None or status != "ok":
            reason = "not run" if record is None else record.get("reason", "")
            parts = {test.part for test in task.tests if not test.name}
            for part in sorted(parts):
                yield self._row(same, part, "", "accuracy", None, None, status, reason)
            return
        figures, counts = record["accuracy"], {test.key: len(test.examples) for test in task.tests}
        for test in task.tests:
            if test.key in figures:
                yield self._row(same, test.part, test.name, "accuracy", figures[test.key], counts[test.key])
        if {"base", "new"} <= figures.keys():
            mean = harmonic_mean(figures["base"], figures["new"])
            yield self._row(same, "H", "", "accuracy", mean, counts["base"] + counts["new"])
        yield from self._calibration(same, cell, task)
        if before is not None:
            yield from self._flips(same, cell, before, task)

    def _calibration(self, same: dict[str, Any], cell: Cell, task: Task) -> Iterator[dict[str, Any]]:
        predicted, sure = self.predictions(cell.key), self.confidences(cell.key)
        pooled: list[tuple[np.ndarray, np.ndarray]] = []
        for test in task.tests:
            if test.key in sure:
                right = predicted[test.key] == np.asarray(test.examples.labels)
                pooled.append((sure[test.key], right))
                yield self._row(same, test.part, test.name, "ece", calibration_error(*pooled[-1]), len(right))
        if {"base", "new"} <= sure.keys():  # over the images of both halves
            confidences, right = (np.concatenate(column) for column in zip(*pooled, strict=True))
            yield self._row(same, "H", "", "ece", calibration_error(confidences, right), len(right))

    def _flips(self, same: dict[str, Any], cell: Cell, before: Cell, task: Task) -> Iterator[dict[str, Any]]:
        record = self.record(before.key)
        if record is None or record["status"] != "ok":
            return
        first, second = self.predictions(before.key), self.predictions(cell.key)
        pooled: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        for test in task.tests:
            if test.key in first and test.key in second:
                labels = np.asarray(test.examples.labels)
                pooled.append((first[test.key], second[test.key], labels))
                yield from self._flip_rows(same, test.part, test.name, pooled[-1:])
        if {"base", "new"} <= first.keys() & second.keys():
            yield from self._flip_rows(same, "H", "", pooled)  # over the images of both halves

    def _flip_rows(
        self, same: dict[str, Any], part: str, test_set: str, triples: list[tuple[np.ndarray, np.ndarray, np.ndarray]]
    ) -> Iterator[dict[str, Any]]:
        before, after, labels = (np.concatenate(column) for column in zip(*triples, strict=True))
        negative, positive = flips(before, after, labels)
        yield self._row(same, part, test_set, "negative_flip", negative, len(labels))
        yield self._row(same, part, test_set, "positive_flip", positive, len(labels))

    @staticmethod
    def _row(
        same: dict[str, Any],
        split: str,
        test_set: str,
        metric: str,
        value: float | None,
        count: int | None,
        status: str = "ok",
        reason: str = "",
    ) -> dict[str, Any]:
        shown = None if value is None else round(value, 4)
        figures = {"split": split, "test_set": test_set, "metric": metric, "value": shown, "n": count}
        return same | figures | {"status": status, "reason": reason}


def runs(plan: Plan, store: Store) -> pd.DataFrame:
    """Time, memory and sizes of every cell that was computed."""
    rows = []
    for cell in plan.cells():
        record = store.record(cell.key)
        if record is None:
            continue
        row = {
            "key": cell.key,
            "kind": cell.kind,
            "method": cell.configuration.method,
            "config": cell.configuration.label,
            "backbone": cell.backbone,
            "dataset": cell.task.dataset,
            "protocol": cell.task.protocol,
            "seed": cell.task.seed,
            "status": record["status"],
        }
        rows.append(row | {name: record.get(name) for name in RUN_COLUMNS if name not in row})
    return pd.DataFrame(rows, columns=RUN_COLUMNS)


def write_csv(table: pd.DataFrame, store: Store, name: str) -> None:
    """Write a table with fixed columns, number format and line ends, in one go."""
    buffer = io.StringIO()
    table.to_csv(buffer, index=False, lineterminator="\n", quoting=csv.QUOTE_MINIMAL)
    write_atomically(store.root / name, buffer.getvalue().encode())
