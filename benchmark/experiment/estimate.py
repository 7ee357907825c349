"""Estimates the run time of a plan from a few steps of every method on every backbone, on the smallest and largest task.

The time of a step and of a test image is assumed to grow linearly with the number of classes. Banks of features are
counted once for each backbone and task, as the feature store keeps them.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch

from benchmark.data.dataset import Examples
from benchmark.data.features import FeatureStore
from benchmark.data.task import Task, TaskId
from benchmark.experiment.apart import each_apart
from benchmark.experiment.plan import Cell, Plan, restore
from benchmark.experiment.store import FINAL
from benchmark.experiment.worker import Context, Worker
from benchmark.method.base import Method
from benchmark.training.evaluation import predict
from benchmark.training.loop import learnt_by_gradient, total_steps, train, training_images, views_of
from benchmark.training.modules import build_method
from benchmark.training.replay import LEAST

STEPS = 3
"""Training steps of a trial; the first is not counted. On a GPU as many as let it capture them, in the first."""
IMAGES = 32
"""Test images of a trial."""
SECONDS = 900.0
"""Longest trials of one method."""


@dataclass(frozen=True)
class Pace:
    """Seconds in a task with so many classes."""

    classes: int
    step: float
    """With decoding, if every step decodes its own images."""
    image: float
    pixels: bool = False
    """Whether the method runs the image tower."""


@dataclass(frozen=True)
class RunTime:
    """Seconds of work that is left, by method, and of making features that methods share."""

    methods: dict[str, float]
    features: float
    failed: dict[str, str]
    """Methods that could not be timed, and why."""

    @property
    def total(self) -> float:
        return self.features + sum(self.methods.values())


def estimate(plan: Plan, context: Context, status: Callable[[str], str | None]) -> RunTime:
    """Time a few steps per method and add up the work that is left of a plan. ``status``: that of a cell by its key."""
    left = list(_left(plan, status))
    paces, failed = _measure(plan, context, [cell for cell, _ in left])
    worker = Worker(context)
    store = FeatureStore(None, threads=context.decoders)
    per_image: dict[str, float] = {}
    seconds: dict[str, float] = defaultdict(float)
    banks: dict[tuple[object, ...], int] = {}
    for cell, trained in left:
        configuration, task = cell.configuration, plan.tasks[cell.task]
        pace = paces.get((configuration.method, configuration.label, cell.backbone))
        if not pace:
            continue
        config = restore(worker.methods[configuration.method].cls, cell.settings)
        if cell.backbone not in per_image:
            per_image[cell.backbone] = _encoding(worker, store, plan, cell.backbone)
        if trained:
            steps, per_epoch = total_steps(config, len(task.train), task.shots)
            seconds[configuration.method] += steps * _at(pace, len(task.classes), "step")
            views = views_of(config, pixels=pace[0].pixels)
            if views is None:  # decoded in the steps, or encoded once for every epoch
                views = 0 if pace[0].pixels else -(-steps // per_epoch)
            banks[cell.backbone, cell.task, views] = len(task.train) * views
        else:
            for test in task.tests:
                seconds[configuration.method] += len(test.examples) * _at(pace, len(test.classes), "image")
                banks[cell.backbone, test.examples.digest] = len(test.examples)
    return RunTime(dict(seconds), sum(count * per_image[str(key[0])] for key, count in banks.items()), failed)


def _left(plan: Plan, status: Callable[[str], str | None]) -> Iterator[tuple[Cell, bool]]:
    """Cells that have no final record, and whether each is a training."""
    for job in plan.jobs:
        for cell in (job.train, *job.evals):
            if status(cell.key) not in FINAL:
                yield cell, cell is job.train


Key = tuple[str, str, str]
"""Method, configuration and backbone."""


def _measure(plan: Plan, context: Context, cells: Sequence[Cell]) -> tuple[dict[Key, list[Pace]], dict[str, str]]:
    """The paces of every method, each measured in a process apart, and the reasons of those that could not be."""
    tasks = sorted(plan.tasks.values(), key=lambda task: len(task.classes))
    trials: dict[str, dict[Key, Cell]] = defaultdict(dict)
    for cell in cells:
        method = cell.configuration.method
        trials[method].setdefault((method, cell.configuration.label, cell.backbone), cell)
    paces: dict[Key, list[Pace]] = {}
    failed: dict[str, str] = {}
    work = partial(_paces, context, dict(trials), (tasks[0].id, tasks[-1].id))
    for method, found, reason in each_apart(work, list(trials), SECONDS):
        if reason:
            failed[method] = reason
        else:
            paces |= found or {}
    return paces, failed


def _paces(
    context: Context, trials: Mapping[str, Mapping[Key, Cell]], ends: tuple[TaskId, TaskId], methods: Sequence[str]
) -> Iterator[dict[Key, list[Pace]]]:
    worker = Worker(context)
    store = FeatureStore(None, threads=context.decoders)
    tasks = [worker.task(task) for task in dict.fromkeys(ends)]
    for method in methods:
        yield {key: _trials(worker, store, tasks, cell) for key, cell in trials[method].items()}


def _trials(worker: Worker, store: FeatureStore, tasks: Sequence[Task], cell: Cell) -> list[Pace]:
    """Trials on the tasks with the fewest and the most classes; none if the method does not work on the backbone."""
    cls, on = worker.methods[cell.configuration.method].cls, worker.backbone(cell.backbone)
    config = restore(cls, cell.settings)
    if cls.incompatibility(config, on):
        return []
    chosen = {len(task.classes): task for task in tasks}
    few_views = "fresh" if config.views in ("fresh", "auto") else 1
    steps = LEAST if on.device.type == "cuda" else STEPS
    quick = config.model_copy(update={"steps": steps, "views": few_views})
    return [_trial(build_method(cls, quick, on, task, store), task, store) for task in chosen.values()]


def _trial(method: Method, task: Task, store: FeatureStore) -> Pace:
    pixels, config = method.needs_pixels, method.config
    step = 0.0
    if learnt_by_gradient(method):
        bank = training_images(method, replace(task, train=_first(task.train, config.batch_size)), store)
        ends: list[float] = []
        train(method, bank, shots=task.shots, seed=0, on_step=lambda *_: ends.append(_now(method)))
        step = (ends[-1] - ends[0]) / (len(ends) - 1)
    few = store.testing(method.backbone, _first(task.tests[0].examples, IMAGES), pixels=pixels)
    predict(method, few)
    start = _now(method)
    predict(method, few)
    return Pace(len(task.classes), step, (_now(method) - start) / len(few), pixels)


def _encoding(worker: Worker, store: FeatureStore, plan: Plan, backbone: str) -> float:
    """Seconds to decode and encode one image."""
    task = next(iter(plan.tasks.values()))
    on, times = worker.backbone(backbone), []
    for first in (0, 1):  # other images the second time, so that they are not in the cache
        few = task.tests[0].examples.pick(range(first, min(len(task.tests[0].examples), IMAGES), 2))
        start = time.perf_counter()
        store.testing(on, few, pixels=False)
        times.append((time.perf_counter() - start) / max(1, len(few)))
    return times[-1]


def _first(examples: Examples, count: int) -> Examples:
    return examples.pick(range(min(len(examples), count)))


def _now(method: Method) -> float:
    if method.backbone.device.type == "cuda":
        torch.cuda.synchronize(method.backbone.device)
    return time.perf_counter()


def _at(paces: list[Pace], classes: int, what: str) -> float:
    """Seconds at a number of classes, on the line through the trials."""
    first, last = paces[0], paces[-1]
    low, high = getattr(first, what), getattr(last, what)
    if first.classes == last.classes:
        return float(low)
    return max(0.0, float(low + (high - low) * (classes - first.classes) / (last.classes - first.classes)))
