"""How long jobs take, so that work can be cut into pieces of like length: from finished cells where there are any."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from benchmark.experiment.plan import Cell, Job, Plan, restore
from benchmark.experiment.store import Store
from benchmark.method.base import Method
from benchmark.method.registry import Registry
from benchmark.training.loop import total_steps

STEP, CELL = 0.05, 2.0
"""Seconds of a training step, and of a cell beside its steps, where nothing of the kind has been computed yet."""


class Costs:
    """Seconds of jobs. A cell takes as long as the finished cells of its method and kind on the same backbone and data set,
    for another seed say; else as those of its method on any, per training step; else a guess."""

    def __init__(self, plan: Plan, methods: Registry[Method], store: Store, cells: Iterable[Cell]) -> None:
        """``cells``: those that may be finished."""
        self.plan, self.methods = plan, methods
        self._alike: dict[tuple[object, ...], list[float]] = defaultdict(list)
        self._rates: dict[tuple[str, str], list[float]] = defaultdict(list)
        for cell in cells:
            record = store.record(cell.key)
            if record is not None and record["status"] == "ok":
                seconds = float(record["seconds"])
                self._alike[self._kind(cell)].append(seconds)
                self._rates[cell.configuration.method, cell.kind].append(seconds / max(1, self._steps(cell)))

    def seconds(self, job: Job) -> float:
        """Of a training and its evaluations."""
        return sum(self._seconds(cell) for cell in (job.train, *job.evals))

    def _seconds(self, cell: Cell) -> float:
        alike = self._alike.get(self._kind(cell))
        if alike:
            return _mean(alike)
        rates = self._rates.get((cell.configuration.method, cell.kind))
        if rates:
            return _mean(rates) * max(1, self._steps(cell))
        return CELL + STEP * self._steps(cell)

    def _steps(self, cell: Cell) -> int:
        """Training steps; 0 for an evaluation."""
        if cell.kind != "train":
            return 0
        task = self.plan.tasks[cell.task]
        config = restore(self.methods[cell.configuration.method].cls, cell.settings)
        return total_steps(config, len(task.train), task.shots)[0]

    def _kind(self, cell: Cell) -> tuple[object, ...]:
        task, one = cell.task, cell.configuration
        return cell.kind, one.method, one.label, cell.backbone, task.dataset, task.protocol, task.shots


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
