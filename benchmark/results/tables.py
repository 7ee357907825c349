"""The tables, derived from the records: results (values) and runs (time, memory, sizes)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from benchmark.data.task import Task, TaskId
from benchmark.experiment.plan import Cell, Configuration, Plan
from benchmark.experiment.store import Store
from benchmark.results.cell_reader import CellReader
from benchmark.results.metric import PRIMARY, STRATEGIES, all_metrics, harmonic_mean
from benchmark.results.summary import COLUMNS
from benchmark.training.evaluation import Predictions

RUN_COLUMNS = (
    "key kind method config backbone dataset protocol seed status seconds train_seconds peak_mb parameters steps plugin"
).split()
"""Columns of runs.csv, in order. ``plugin`` is the hash of the file of the method when the cell was computed."""


class ResultRows:
    """All values of a plan, one row each; a cell without values has one row with its status and reason."""

    def __init__(self, plan: Plan, reader: CellReader) -> None:
        self.plan, self.reader = plan, reader
        self._rows: dict[tuple[tuple[str, str], str, str, TaskId], list[tuple[Any, ...]]] = {}

    def add(self, tasks: Sequence[Task]) -> None:
        """Read the cells of some tasks."""
        for pair, configuration, task in itertools.product(self.plan.pairs, self.plan.configurations, tasks):
            place = (pair, configuration.method, configuration.label, task.id)
            self._rows[place] = [tuple(row[name] for name in COLUMNS) for row in self._of_task(*pair, configuration, task)]

    def table(self) -> pd.DataFrame:
        """The rows in the order of pairs, configurations and tasks."""
        plan = self.plan
        places = (
            (pair, configuration.method, configuration.label, task)
            for pair in plan.pairs
            for configuration in plan.configurations
            for task in plan.tasks
        )
        rows = itertools.chain.from_iterable(self._rows.get(place, ()) for place in places)
        return pd.DataFrame(list(rows), columns=list(COLUMNS))

    def _of_task(self, old: str, new: str, configuration: Configuration, task: Task) -> Iterator[dict[str, Any]]:
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
        if self.plan.find(configuration, task.id, old, new) is None:
            return  # not every method has every seed on every pair, see ``cli.until_decided``
        before = self.plan.find(configuration, task.id, old, old)
        for strategy, trained, tested in (("old", old, old), ("reuse", old, new), ("retrain", new, new)):
            cell = self.plan.find(configuration, task.id, trained, tested)
            assert cell is not None
            yield from self._cell(same | {"strategy": strategy}, cell, before if strategy == "reuse" else None, task)
        for repair in self.plan.repairs:
            repaired = self.plan.find_repair(configuration, task.id, old, new, repair)
            if repaired is not None:
                yield from self._cell(same | {"strategy": repair.strategy}, repaired, None, task)

    def _cell(self, same: dict[str, Any], cell: Cell, before: Cell | None, task: Task) -> Iterator[dict[str, Any]]:
        record = self.reader.record(cell.key)
        status = "skipped" if record is None else record["status"]
        if record is None or status != "ok":
            reason = "not run" if record is None else record.get("reason", "")
            for part in sorted({test.part for test in task.tests if not test.name}):
                yield self._row(same, part, "", PRIMARY, None, None, status, reason)
            return
        tests = {test.key: test for test in task.tests}
        predictions = self._predictions(cell, before, task)
        for metric in all_metrics():
            own = metric.strategies if same["strategy"] in STRATEGIES else (same["strategy"],) * (metric.name == PRIMARY)
            if same["strategy"] not in own:
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
        reader, found = self.reader, {}
        for test in task.tests:
            predicted = reader.predicted(cell.key, test.key)
            if predicted is not None:
                earlier = reader.predicted(before.key, test.key) if before and reader.is_ok(before.key) else None
                confidences = reader.confidences(cell.key, test.key)
                found[test.key] = Predictions(reader.labels(task, test.key), predicted, confidences, earlier)
        return found

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
        if record is not None:
            rows.append(_run_row(cell, record))
    return pd.DataFrame(rows, columns=RUN_COLUMNS)


def _run_row(cell: Cell, record: Mapping[str, Any]) -> tuple[Any, ...]:
    known = {
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
    return tuple(known[name] if name in known else record.get(name) for name in RUN_COLUMNS)
