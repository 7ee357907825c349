"""How long cells take, for cutting work into pieces and for the time that is left: guesses, corrected by finished cells."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from benchmark.experiment.plan import Cell, Job, Plan, restore
from benchmark.experiment.store import Store
from benchmark.method.base import Method
from benchmark.method.registry import Registry
from benchmark.training.loop import total_steps

FIXED = 0.1
"""Seconds of a cell in addition to what follows."""
STEP, TEXT, CLASS, VISION = 0.002, 0.02, 0.001, 0.06
"""Seconds of a training step; more, and more for each class, if the method learns in the text tower; more if it learns in
the image tower. Of the embedded releases on one core; elsewhere all are slower by much the same factor, as finished cells
show."""
IMAGE = 0.002
"""Seconds of a test image, if the method learns in the image tower."""


class Costs:
    """Seconds of cells: a guess, times how far guesses for the same method on the same backbone were off; else for the same
    method, else for all of them."""

    def __init__(self, plan: Plan, methods: Registry[Method]) -> None:
        self.plan, self.methods = plan, methods
        self._guessed: dict[tuple[str, ...], float] = defaultdict(float)
        self._taken: dict[tuple[str, ...], float] = defaultdict(float)

    def learn(self, cell: Cell, seconds: float) -> None:
        """Take a finished cell into account, and the seconds that it took."""
        guess = self.guess(cell)
        for group in _groups(cell):
            self._guessed[group] += guess
            self._taken[group] += seconds

    def of(self, job: Job) -> float:
        """Of a training and its evaluations."""
        return sum(self.guess(cell) * self.correction(cell) for cell in (job.train, *job.evals))

    def correction(self, cell: Cell) -> float:
        """What a guess has to be multiplied by."""
        for group in _groups(cell):
            if self._guessed[group]:
                return self._taken[group] / self._guessed[group]
        return 1.0

    def guess(self, cell: Cell) -> float:
        """Seconds before anything is known."""
        task, cls = self.plan.tasks.get(cell.task), self.methods[cell.configuration.method].cls
        if task is None:  # an analysis has tasks of its own
            return 1.0
        if cell.kind != "train":
            images = sum(len(test.examples) for test in task.tests)
            return FIXED + (IMAGE * images if "vision" in cls.info.tunes else 0.0)
        steps = total_steps(restore(cls, cell.settings), len(task.train), task.shots)[0]
        text = TEXT + CLASS * len(task.classes) if "text" in cls.info.tunes else 0.0
        vision = VISION if "vision" in cls.info.tunes else 0.0
        return FIXED + steps * (STEP + text + vision)


class Remaining:
    """The work that is left, in seconds of one worker; adding it up again takes as long as there are methods, not cells."""

    def __init__(self, costs: Costs, store: Store, cells: Iterable[Cell]) -> None:
        self.costs, self.store, self.taken = costs, store, 0.0
        """``taken``: seconds of the cells that were finished since."""
        self._left: dict[tuple[str, ...], float] = defaultdict(float)
        self._example: dict[tuple[str, ...], Cell] = {}
        for cell in cells:
            group = _groups(cell)[0]
            self._left[group] += costs.guess(cell)
            self._example[group] = cell

    def finish(self, cell: Cell) -> None:
        """A cell is done, well or not."""
        record = self.store.record(cell.key)
        if record is not None and record["status"] == "ok":
            self.costs.learn(cell, float(record["seconds"]))
            self.taken += float(record["seconds"])
        self._left[_groups(cell)[0]] -= self.costs.guess(cell)

    @property
    def seconds(self) -> float:
        return sum(left * self.costs.correction(self._example[group]) for group, left in self._left.items())


def _groups(cell: Cell) -> tuple[tuple[str, ...], ...]:
    """What a cell is like, the most like it first."""
    return (cell.kind, cell.configuration.method, cell.backbone), (cell.kind, cell.configuration.method), (cell.kind,)
