"""The tables, derived from the records: results (values) and runs (time, memory, sizes)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from benchmark.data.task import Task
from benchmark.experiment.plan import Cell, Configuration, Plan
from benchmark.experiment.store import Store
from benchmark.results.metric import PRIMARY, all_metrics, harmonic_mean
from benchmark.results.summary import COLUMNS
from benchmark.training.evaluation import Predictions

RUN_COLUMNS = (
    "key kind method config backbone dataset protocol seed status seconds train_seconds peak_mb parameters steps".split()
)


def results(plan: Plan, store: Store) -> pd.DataFrame:
    """All values of a plan, one row each, sorted; a cell without values has one row with its status and reason."""
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
            for part in sorted({test.part for test in task.tests if not test.name}):
                yield self._row(same, part, "", PRIMARY, None, None, status, reason)
            return
        tests = {test.key: test for test in task.tests}
        predictions = self._predictions(cell, before, task)
        for metric in all_metrics():
            if same["strategy"] not in metric.strategies:
                continue
            values: dict[str, float] = {}
            for key, predicted in predictions.items():
                value = metric.value(predicted)
                if value is not None:
                    values[key] = value
                    yield self._row(same, tests[key].part, tests[key].name, metric.name, value, len(predicted))
            if {"base", "new"} <= values.keys():
                both = Predictions.pooled([predictions["base"], predictions["new"]])
                harmonic = metric.halves == "harmonic"
                whole = harmonic_mean(values["base"], values["new"]) if harmonic else metric.value(both)
                if whole is not None:
                    yield self._row(same, "H", "", metric.name, whole, len(both))

    def _predictions(self, cell: Cell, before: Cell | None, task: Task) -> dict[str, Predictions]:
        """By the key of the test set, for those that a cell has predictions for."""
        predicted, confidences = self.predictions(cell.key), self.confidences(cell.key)
        earlier: dict[str, np.ndarray] = {}
        if before is not None:
            record = self.record(before.key)
            earlier = self.predictions(before.key) if record is not None and record["status"] == "ok" else {}
        return {
            test.key: Predictions(
                np.asarray(test.examples.labels),
                predicted[test.key],
                confidences.get(test.key),
                earlier.get(test.key),
            )
            for test in task.tests
            if test.key in predicted
        }

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
        values = {"split": split, "test_set": test_set, "metric": metric, "value": shown, "n": count}
        # A spreadsheet would take a reason that begins with such a sign for a formula.
        return same | values | {"status": status, "reason": reason.lstrip("=+-@ ")}


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
