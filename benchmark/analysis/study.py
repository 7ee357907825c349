"""What an analysis works on: one data set, the upgrades, the methods, and the cells of the matrix that it needs."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from rich.console import Console

from benchmark.backbones.clip import Backbone
from benchmark.config import schema
from benchmark.config.errors import UserError
from benchmark.data.dataset import Dataset
from benchmark.data.task import BASE_TO_NEW, Task, TaskId, make_task
from benchmark.experiment import plan, preflight, session
from benchmark.experiment.plan import Cell, Configuration, Job, Plan
from benchmark.experiment.session import Session
from benchmark.experiment.worker import Action, splits_of
from benchmark.method import registry
from benchmark.method.base import Method
from benchmark.method.registry import Registry
from benchmark.results.paired import Outcome, contrast

Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Setting:
    """An opened run over one data set, in base and new classes."""

    session: Session
    dataset: str
    baseline: str
    workers: int | None
    timeout: float | None
    console: Console

    @property
    def methods(self) -> Registry[Method]:
        return self.session.methods

    @property
    def pairs(self) -> Pairs:
        return self.session.plan.pairs

    @cached_property
    def zero_shot(self) -> Configuration:
        return Configuration(self.baseline, plan.DEFAULT, {})

    @property
    def contestants(self) -> list[Configuration]:
        """The methods that were asked for, without the baseline and without those that are tied to their training classes:
        they have no H."""
        return [each for each in self.session.plan.configurations if not self._apart(each)]

    def _apart(self, configuration: Configuration) -> bool:
        return configuration.method == self.baseline or self.methods[configuration.method].cls.info.class_bound

    def tasks(self, shots: int | None = None) -> list[Task]:
        """One task a seed."""
        spec, dataset = self.session.spec, self.session.datasets[self.dataset]
        wanted = min(shots or spec.shots, dataset.shots)
        loaded = splits_of(dataset)
        return [make_task(dataset, loaded, TaskId(self.dataset, BASE_TO_NEW, wanted, seed)) for seed in spec.seeds]

    def plan(
        self, pairs: Pairs, configurations: Sequence[Configuration], shots: int | None = None, *, retrain: bool = False
    ) -> Plan:
        """The cells of these configurations: trained on the old backbone, tested there and on the new one; with ``retrain`` those
        trained on the new one too."""
        tasks = {task.id: task for task in self.tasks(shots)}
        digests = {facts.name: facts.digest for facts in self.session.backbones}
        context = self.session.context
        kind = "cpu" if context.device == "cpu" else "cuda"
        made = plan.make_plan(
            self.session.spec,
            self.methods,
            configurations,
            tasks,
            digests,
            device=kind,
            precision=context.precision,
            pairs=pairs,
        )
        old = {name for name, _ in pairs}
        jobs = tuple(job for job in made.jobs if retrain or job.train.backbone in old)
        return replace(made, jobs=jobs)

    def compute(self, what: str, jobs: Iterable[Job], actions: Mapping[str, Action] | None = None) -> None:
        """Run whatever of the jobs is not finished; ``what`` says to the user what that is. ``actions`` do the cells of
        kinds of their own, job by job."""
        self.console.print(what)
        context = replace(self.session.context, actions=dict(actions or {}))
        session.compute(
            list(jobs),
            self.session.store,
            context,
            self.console,
            workers=self.workers,
            timeout=self.timeout,
            apart=actions is not None,
        )

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
        return Outcome({name: np.stack(each).astype(float) for name, each in rows.items()}, groups)

    def find(self, made: Plan, configuration: Configuration, trained: str, tested: str) -> Outcome | None:
        """The outcome of a configuration, from the cells of a plan."""
        shots = next(iter(made.tasks)).shots
        return self.outcome([made.find(configuration, task, trained, tested) for task in made.tasks], shots)

    def why(self, cells: Iterable[Cell | None]) -> tuple[str, str]:
        """(status, reason) of the first cell that has no figures; ("ok", "") if all have."""
        for cell in cells:
            record = self.session.store.record(cell.key) if cell else None
            if record is None or record["status"] != "ok":
                return ("skipped", "not run") if record is None else (record["status"], record.get("reason", ""))
        return "ok", ""

    def backbone(self, name: str) -> Backbone:
        """A backbone, loaded anew."""
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
    found = contrast(known, split)
    return (found.mean, *found.interval())


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options that every analysis has."""
    parser.add_argument(
        "--upgrade-pairs", type=Path, default=Path("pairs.yaml"), metavar="YAML", help="backbones and upgrades"
    )
    parser.add_argument("--dataset", default=None, metavar="NAME", help="one data set; the YAML's first unless given")
    parser.add_argument("--methods", default=None, metavar="NAMES", help="names, globs or 'all', comma-separated")
    parser.add_argument("--pairs", default=None, metavar="OLD->NEW", help="some of the YAML's upgrades, comma-separated")
    parser.add_argument("--seeds", default=None, metavar="N,N", help="seeds of the few-shot draws")
    parser.add_argument("--data-root", type=Path, default=None, metavar="DIR", help="folder of data sets read from files")
    parser.add_argument("--device", default="auto", metavar="NAME", help="auto (a GPU if there is one), cpu, cuda, cuda:1")
    parser.add_argument("--precision", choices=("fp32", "bf16", "fp16"), default="fp32", help="of the forward pass")
    parser.add_argument("--workers", type=int, default=None, metavar="N", help="worker processes; 0 runs in this process")
    parser.add_argument("--cell-timeout", type=float, default=None, metavar="SECONDS", help="kill a cell that takes longer")
    parser.add_argument(
        "--out", type=Path, default=Path("results"), metavar="DIR", help="results folder, whose modules are used again"
    )


Change = Callable[[schema.RunSpec], schema.RunSpec]


def open_setting(options: argparse.Namespace, console: Console, change: Change = lambda spec: spec) -> Setting:
    """Read the YAML, look names up, load backbones and the data set. ``change`` may alter what was read.

    Raises:
        UserError: a name is not known, or a file is missing.
    """
    spec = change(schema.load(options.upgrade_pairs))
    methods, datasets = registry.methods(), registry.datasets(own=spec.folders)
    baseline = next((name for name, plugin in methods.plugins.items() if plugin.cls.info.baseline), "")
    spec = _narrowed(spec, options, datasets, baseline)
    options.set = []
    wanted = session.read(spec, options, methods, datasets)
    preflight.require(wanted.backbones, wanted.datasets.values(), console)
    opened = session.prepare(wanted, options, methods, console)
    return Setting(opened, next(iter(wanted.datasets)), baseline, options.workers, options.cell_timeout, console)


def _narrowed(
    spec: schema.RunSpec, options: argparse.Namespace, datasets: Registry[Dataset], baseline: str
) -> schema.RunSpec:
    """The YAML with one data set, one protocol, and what the options choose."""
    names = datasets.select(spec.datasets)
    training = [name for name in _in_order(spec.datasets, names) if datasets[name].cls.shift_of is None]
    if options.dataset is not None and datasets[options.dataset].cls.shift_of is not None:
        fix = f"name {datasets[options.dataset].cls.shift_of!r}"
        raise UserError(f"--dataset {options.dataset}: it has no training images", fix=fix)
    chosen = options.dataset or (training[0] if training else names[0])
    changes: dict[str, object] = {"datasets": (chosen,), "protocols": (BASE_TO_NEW,)}
    if options.methods is not None:
        changes["methods"] = (*(part.strip() for part in options.methods.split(",") if part.strip()), baseline)
    elif "all" not in spec.methods:
        changes["methods"] = (*spec.methods, baseline)
    if options.seeds is not None:
        try:
            changes["seeds"] = tuple(int(part) for part in options.seeds.split(","))
        except ValueError:
            raise UserError(f"--seeds {options.seeds}: not a list of whole numbers", fix="write 1,2,3") from None
    if options.pairs is not None:
        changes["upgrades"] = _chosen(spec, options.pairs)
    if options.data_root is not None:
        changes["data_root"] = str(options.data_root.expanduser().resolve())
    return schema.check(schema.RunSpec, {**spec.model_dump(), **changes}, where="command line")


def _in_order(patterns: Sequence[str], names: Sequence[str]) -> list[str]:
    """Names in the order in which a YAML's patterns take them."""
    return sorted(names, key=lambda name: next((i for i, p in enumerate(patterns) if registry.matches(name, p)), 0))


def _chosen(spec: schema.RunSpec, text: str) -> tuple[dict[str, object], ...]:
    known = {f"{old}->{new}": (old, new) for old, new in spec.pairs()}
    found: list[dict[str, object]] = []
    for part in (each.strip().replace("\N{RIGHTWARDS ARROW}", "->").replace(" ", "") for each in text.split(",")):
        if part not in known:
            raise UserError(f"--pairs {part}: not an upgrade of the YAML", fix=schema.did_you_mean(part, known))
        old, new = known[part]
        found.append({"old": old, "new": (new,)})
    return tuple(found)
