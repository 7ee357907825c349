"""How long cells take, for cutting work into pieces and for the time that is left: guesses, corrected by finished cells."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from benchmark.backbones.flops import TowerFlops
from benchmark.experiment.plan import Cell, Job, Plan, restore
from benchmark.experiment.store import Store
from benchmark.method.base import Method
from benchmark.method.registry import Registry
from benchmark.training.loop import total_steps

FIXED = 0.1
"""Seconds of a cell in addition to what follows."""
STEP = 0.002
"""Seconds of a training step that runs no tower."""
TOKENS = 8
"""Of a prompt, without those of its beginning, which all prompts share and are computed once."""
BACKWARD = 3
"""A training step costs as much as so many forward passes."""
UNKNOWN = TowerFlops(image=35e9, token=77e6)
"""For a backbone whose operations could not be counted: those of ViT-B/16."""


@dataclass(frozen=True)
class Speed:
    """What a kind of device is taken to do."""

    rate: float
    """Floating-point operations per second."""
    launch: float
    """Seconds of a training step for each tower that learns, however small it is."""


SPEEDS = {"cpu": Speed(6e10, 0.008), "cuda": Speed(1e14, 0.003)}
"""Of one core, on the towers of the embedded releases; and of one H100 in half precision (docs/gpu.md). Elsewhere all cells
are slower by much the same factor, as finished cells show."""


class Costs:
    """Seconds of cells: a guess, times how far guesses for the same method on the same backbone were off; else for the same
    method, else for all of them."""

    def __init__(self, plan: Plan, methods: Registry[Method], flops: Mapping[str, TowerFlops], device: str) -> None:
        """``flops``: by backbone. ``device``: such as "cpu" or "cuda:0"."""
        self.plan, self.methods, self.flops = plan, methods, flops
        self.speed = SPEEDS["cuda" if device.startswith("cuda") else "cpu"]
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
        flops, learns = self.flops.get(cell.backbone, UNKNOWN), set(cls.info.tunes) & {"text", "vision"}
        prompt = flops.token * TOKENS
        if cell.kind != "train":
            text = prompt * sum(len(test.classes) for test in task.tests)
            images = flops.image * sum(len(test.examples) for test in task.tests) if "vision" in learns else 0.0
            return FIXED + (text + images) / self.speed.rate
        config = restore(cls, cell.settings)
        steps = total_steps(config, len(task.train), task.shots)[0]
        text = prompt * len(task.classes) if "text" in learns else 0.0
        images = flops.image * min(config.batch_size, len(task.train)) if "vision" in learns else 0.0
        return FIXED + steps * (STEP + self.speed.launch * len(learns) + BACKWARD * (text + images) / self.speed.rate)


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
        seconds = sum(left * self.costs.correction(self._example[group]) for group, left in self._left.items())
        return max(0.0, seconds)  # sums of differences leave a little less than nothing at the end


def _groups(cell: Cell) -> tuple[tuple[str, ...], ...]:
    """What a cell is like, the most like it first."""
    return (cell.kind, cell.configuration.method, cell.backbone), (cell.kind, cell.configuration.method), (cell.kind,)
