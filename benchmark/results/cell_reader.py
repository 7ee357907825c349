"""Reads the cells of a plan for the tables, every file once: a group of tasks at a time, so that no more predictions are in
memory than one group has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmark.data.task import Task, TaskId
from benchmark.experiment.plan import Plan
from benchmark.experiment.store import CONFIDENCE, Store


class CellReader:
    """Records and predictions by the keys of cells."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._records: dict[str, dict[str, Any] | None] = {}
        self._arrays: dict[str, Mapping[str, np.ndarray]] = {}
        self._labels: dict[tuple[TaskId, str], np.ndarray] = {}

    def record(self, key: str) -> dict[str, Any] | None:
        """See ``Store.record``."""
        if key not in self._records:
            self._records[key] = self.store.record(key)
        return self._records[key]

    def is_ok(self, key: str) -> bool:
        """Whether a cell has predictions."""
        record = self.record(key)
        return record is not None and record["status"] == "ok"

    def predicted(self, key: str, test: str) -> np.ndarray | None:
        """(N,) the predicted labels of a test set; None if the cell has none."""
        return self._read(key).get(test)

    def confidences(self, key: str, test: str) -> np.ndarray | None:
        """(N,) the largest probability of each image; None if the cell has none."""
        return self._read(key).get(test + CONFIDENCE)

    def labels(self, task: Task, test: str) -> np.ndarray:
        """(N,) the true labels of a test set."""
        if (task.id, test) not in self._labels:
            examples = next(one.examples for one in task.tests if one.key == test)
            self._labels[task.id, test] = np.asarray(examples.labels)
        return self._labels[task.id, test]

    def forget(self) -> None:
        """Release everything that was read."""
        for memory in (self._records, self._arrays, self._labels):
            memory.clear()  # type: ignore[attr-defined]

    def _read(self, key: str) -> Mapping[str, np.ndarray]:
        if key not in self._arrays:
            self._arrays[key] = self.store.arrays(key, self.record(key))
        return self._arrays[key]


def groups_of_tasks(plan: Plan) -> list[list[Task]]:
    """The tasks that differ by their seed only."""
    groups: dict[TaskId, list[Task]] = {}
    for task in plan.tasks.values():
        groups.setdefault(TaskId(task.id.dataset, task.id.protocol, task.id.shots, 0), []).append(task)
    return list(groups.values())
