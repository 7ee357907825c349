"""What an analysis works on: one data set, the upgrades, the methods, and the cells of the matrix that it needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from rich.console import Console

from benchmark.backbones.clip import Backbone
from benchmark.config.errors import UserError, did_you_mean
from benchmark.config.schema import RunSpec
from benchmark.config.validation import check
from benchmark.data.dataset import Dataset
from benchmark.data.task import BASE_TO_NEW, Task, TaskId, make_task
from benchmark.experiment import plan, preflight
from benchmark.experiment.devices import device_kind
from benchmark.experiment.loading import splits_of
from benchmark.experiment.plan import Cell, Configuration, Job, Plan
from benchmark.experiment.session import Execution, Session, compute, open_session, registries, select
from benchmark.experiment.worker import Action
from benchmark.method import registry
from benchmark.method.base import Method
from benchmark.method.registry import Registry
from benchmark.results.paired import Outcome, contrast

Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Study:
    """An opened run over one data set, in base and new classes."""

    session: Session
    dataset: str
    console: Console
    methods_named: bool = False
    """Whether the user chose the methods."""

    @property
    def methods(self) -> Registry[Method]:
        return self.session.methods

    @property
    def baseline(self) -> str:
        return self.session.baseline

    @property
    def pairs(self) -> Pairs:
        return self.session.plan.pairs

    @cached_property
    def zero_shot(self) -> Configuration:
        return Configuration(self.baseline, plan.DEFAULT, {})

    @property
    def competing(self) -> list[Configuration]:
        """The requested methods without the baseline and without those bound to their training classes, which have no H."""
        return [one for one in self.session.plan.configurations if not self._is_left_out(one)]

    def _is_left_out(self, configuration: Configuration) -> bool:
        return configuration.method == self.baseline or self.methods[configuration.method].cls.info.class_bound

    def tasks(self, shots: int | None = None) -> list[Task]:
        """One task per seed."""
        spec, dataset = self.session.spec, self.session.datasets[self.dataset]
        shots_per_class = min(shots or spec.shots, dataset.shots)
        loaded = splits_of(dataset)
        return [make_task(dataset, loaded, TaskId(self.dataset, BASE_TO_NEW, shots_per_class, seed)) for seed in spec.seeds]

    def plan(
        self, pairs: Pairs, configurations: Sequence[Configuration], shots: int | None = None, *, retrain: bool = False
    ) -> Plan:
        """The cells of these configurations: trained on the old backbone, tested there and on the new one; with ``retrain``
        those trained on the new one too."""
        tasks = {task.id: task for task in self.tasks(shots)}
        digests = {facts.name: facts.digest for facts in self.session.backbones}
        context = self.session.context
        matrix = plan.make_plan(
            self.session.spec,
            self.methods,
            configurations,
            tasks,
            digests,
            device=device_kind(context.device),
            precision=context.precision,
            pairs=pairs,
        )
        old = {name for name, _ in pairs}
        jobs = tuple(job for job in matrix.jobs if retrain or job.train.backbone in old)
        return replace(matrix, jobs=jobs)

    def compute(self, what: str, jobs: Iterable[Job], actions: Mapping[str, Action] | None = None) -> None:
        """Compute the cells of the jobs that are not finished; ``what`` describes them to the user. ``actions`` compute
        cells of additional kinds."""
        self.console.print(what)
        compute(self.session, list(jobs), self.console, actions=actions, separate=actions is not None)

    def outcome(self, cells: Sequence[Cell | None], shots: int | None = None) -> Outcome | None:
        """Which images are right, from one evaluation of each seed; None if any is missing."""
        rows: dict[str, list[np.ndarray]] = {}
        tasks, store = self.tasks(shots), self.session.store
        for cell, task in zip(cells, tasks, strict=True):
            if cell is None or store.status(cell.key) != "ok":
                return None
            predicted = store.predictions(cell.key)
            for test in task.tests:
                if test.key in predicted:
                    rows.setdefault(test.key, []).append(predicted[test.key] == np.asarray(test.examples.labels))
        groups = {test.key: np.asarray(test.examples.groups) for test in tasks[0].tests}
        return Outcome({name: np.stack(by_seed).astype(float) for name, by_seed in rows.items()}, groups)

    def find(self, matrix: Plan, configuration: Configuration, trained: str, tested: str) -> Outcome | None:
        """The outcome of a configuration, from the cells of a plan."""
        shots = next(iter(matrix.tasks)).shots
        return self.outcome([matrix.find(configuration, task, trained, tested) for task in matrix.tasks], shots)

    def why(self, cells: Iterable[Cell | None]) -> tuple[str, str]:
        """(status, reason) of the first cell that has no values; ("ok", "") if all have."""
        for cell in cells:
            record = self.session.store.record(cell.key) if cell else None
            if record is None or record["status"] != "ok":
                return ("skipped", "not run") if record is None else (record["status"], record.get("reason", ""))
        return "ok", ""

    def backbone(self, name: str) -> Backbone:
        """A freshly loaded backbone."""
        return Backbone.load(name, self.session.context.backbones[name], self.session.context.device)

    def title(self, configuration: Configuration) -> str:
        return self.methods[configuration.method].cls.info.title


SPLIT = "H"
"""What the analyses compare: the harmonic mean of base and new classes."""


def mean(outcome: Outcome | None, split: str = SPLIT) -> float:
    """Mean accuracy over seeds in per cent; NaN if there is none."""
    if outcome is None or not outcome.has(split):
        return float("nan")
    return float(np.mean(outcome.accuracy(split)))


def gap(one: Outcome | None, other: Outcome | None, split: str = SPLIT) -> tuple[float, float, float]:
    """(mean, low, high) of the difference of two outcomes, in points; NaN where there is none."""
    return summed([(1, one), (-1, other)], split)


def summed(terms: Sequence[tuple[int, Outcome | None]], split: str = SPLIT) -> tuple[float, float, float]:
    """(mean, low, high) of a weighted sum of accuracies, in points; NaN where one is missing."""
    known = [(weight, outcome) for weight, outcome in terms if outcome is not None and outcome.has(split)]
    if len(known) < len(terms):
        return float("nan"), float("nan"), float("nan")
    estimate = contrast(known, split)
    return (estimate.mean, *estimate.interval())


@dataclass(frozen=True)
class Choice:
    """What an analysis takes from a YAML; None keeps the YAML's value."""

    dataset: str | None = None
    methods: tuple[str, ...] | None = None
    pairs: tuple[str, ...] | None = None
    """Upgrades as OLD->NEW."""
    seeds: tuple[int, ...] | None = None


def open_study(spec: RunSpec, choice: Choice, execution: Execution, console: Console) -> Study:
    """Resolve names, load backbones and the data set.

    Raises:
        UserError: a name is not known, or a file is missing.
    """
    methods, datasets = registries(spec)
    selection = select(_narrowed(spec, choice, datasets), (), methods, datasets)
    preflight.require(selection.backbones, selection.datasets.values(), console)
    session = open_session(selection, execution, methods, console)
    return Study(session, next(iter(selection.datasets)), console, choice.methods is not None)


def _narrowed(spec: RunSpec, choice: Choice, datasets: Registry[Dataset]) -> RunSpec:
    """The YAML with one data set, one protocol, and what the user chose."""
    names = datasets.select(spec.datasets)
    training = [name for name in _in_order(spec.datasets, names) if datasets[name].cls.shift_of is None]
    if choice.dataset is not None and datasets[choice.dataset].cls.shift_of is not None:
        fix = f"name {datasets[choice.dataset].cls.shift_of!r}"
        raise UserError(f"--dataset {choice.dataset}: it has no training images", fix=fix)
    dataset = choice.dataset or (training[0] if training else names[0])
    changes: dict[str, object] = {"datasets": (dataset,), "protocols": (BASE_TO_NEW,)}
    changes["methods"] = choice.methods or spec.methods
    if choice.seeds is not None:
        changes["seeds"] = choice.seeds
    if choice.pairs is not None:
        changes["upgrades"] = _upgrades(spec, choice.pairs)
    return check(RunSpec, {**spec.model_dump(), **changes}, where="command line")


def _in_order(patterns: Sequence[str], names: Sequence[str]) -> list[str]:
    """Names in the order in which a YAML's patterns take them."""
    return sorted(names, key=lambda name: next((i for i, p in enumerate(patterns) if registry.matches(name, p)), 0))


def _upgrades(spec: RunSpec, pairs: Sequence[str]) -> tuple[dict[str, object], ...]:
    known = {f"{old}->{new}": (old, new) for old, new in spec.pairs()}
    upgrades: list[dict[str, object]] = []
    for pair in (pair.replace("\N{RIGHTWARDS ARROW}", "->").replace(" ", "") for pair in pairs):
        if pair not in known:
            raise UserError(f"--pairs {pair}: not an upgrade of the YAML", fix=did_you_mean(pair, known))
        old, new = known[pair]
        upgrades.append({"old": old, "new": (new,)})
    return tuple(upgrades)
