"""From a run's specification to its cells: what is trained on what, and on which backbones each module is evaluated."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from benchmark.backbones.clip import Backbone
from benchmark.config.errors import UserError, did_you_mean
from benchmark.config.schema import PROTOCOLS, BackboneSpec, ProtocolSpec, RunSpec
from benchmark.config.validation import check
from benchmark.data.dataset import Dataset, Splits
from benchmark.data.task import BASE_TO_NEW, CROSS_DATASET, DOMAIN, Task, TaskId, make_task, other_test_sets
from benchmark.experiment.devices import collections_paused
from benchmark.experiment.store import cell_hash, to_json
from benchmark.method.base import Method, MethodConfig
from benchmark.method.registry import Plugin, Registry

NUMERICS = 8
"""Version of the engine's arithmetic: raise it when a fix changes results, and every cell is computed again."""
DEFAULT = "default"
REPAIR = "repair"
"""Kind of the cells of repairs."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """A method with what the user changed of its preset; ``label`` says so."""

    method: str
    label: str
    changes: Mapping[str, Any]

    def with_steps(self, steps: int) -> Configuration:
        """The same with another number of training steps."""
        return Configuration(self.method, f"{self.label},steps={steps}", {**self.changes, "steps": steps})

    def settings(self, cls: type[Method], preset: str, task: TaskId) -> dict[str, Any]:
        """The whole configuration for a task, in JSON form.

        Raises:
            UserError: a key is not known, or a value is bad.
        """
        chosen = {**cls.preset(preset, task.protocol, task.shots, task.dataset), **self.changes}
        return check(cls.Config, chosen, where=f"method {self.method}").model_dump(mode="json")


@dataclass(frozen=True, slots=True)
class Cell:
    """One unit of the matrix. ``config`` is everything that its result depends on; ``key`` is its hash."""

    kind: str
    """"train", "eval", or a kind that an analysis defines."""
    key: str
    config: Mapping[str, Any]
    configuration: Configuration
    backbone: str
    """Where the module is trained, or evaluated."""
    task: TaskId
    settings: Mapping[str, Any]
    """Of the method, all of them."""


@dataclass(frozen=True, slots=True)
class Job:
    """A training cell and the evaluations of its module."""

    train: Cell
    evals: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class PlannedRepair:
    """A way to use a module on a new backbone, other than as it is; what it does is known to whoever computes its cells."""

    name: str
    version: int
    title: str = ""
    keeps_old: bool = False
    """Whether the old backbone stays in use."""
    applies_to: Callable[[type[Method]], bool] = lambda cls: True
    """Whether it may be applied to modules of a method."""

    @property
    def strategy(self) -> str:
        """In the column of results.csv."""
        return f"{REPAIR}:{self.name}"

    def cell(self, target: Cell, old: str) -> Cell:
        """The cell of a module whose plain reuse is ``target``; ``old``: digest of the backbone that it was trained on."""
        config = {**target.config, "kind": REPAIR, "strategy": self.name, "version": self.version, "old": old}
        return Cell(REPAIR, cell_hash(config), config, target.configuration, target.backbone, target.task, target.settings)


@dataclass(frozen=True)
class Plan:
    """All jobs of a run, and its tasks, pairs and configurations."""

    pairs: tuple[tuple[str, str], ...]
    jobs: tuple[Job, ...]
    tasks: Mapping[TaskId, Task]
    configurations: tuple[Configuration, ...]
    repairs: tuple[PlannedRepair, ...] = ()

    def cells(self) -> Iterator[Cell]:
        for job in self.jobs:
            yield job.train
            yield from job.evals

    def find(self, configuration: Configuration, task: TaskId, trained: str, tested: str) -> Cell | None:
        """The evaluation on ``tested`` of the module trained on ``trained``."""
        return self._index.get((configuration.method, configuration.label, task, trained, tested))

    def find_repair(
        self, configuration: Configuration, task: TaskId, old: str, new: str, repair: PlannedRepair
    ) -> Cell | None:
        """The evaluation on ``new`` of the module trained on ``old``, repaired."""
        return self._index.get((configuration.method, configuration.label, task, old, new, repair.name))

    @cached_property
    def _index(self) -> dict[tuple[object, ...], Cell]:
        index: dict[tuple[object, ...], Cell] = {}
        for job in self.jobs:
            module = job.train.configuration.method, job.train.configuration.label, job.train.task, job.train.backbone
            for cell in job.evals:
                index[(*module, cell.backbone, *([cell.config["strategy"]] if cell.kind == REPAIR else []))] = cell
        return index


def configurations(methods: Registry[Method], names: Sequence[str], settings: Sequence[str]) -> tuple[Configuration, ...]:
    """The methods to run, each once, or once for each value of ``--set method.key=value[,value]``.

    Raises:
        UserError: a setting names no selected method or no known key, or has a bad value.
    """
    changes: dict[str, dict[str, list[Any]]] = {}
    for setting in settings:
        method, key, values = _parse_setting(setting)
        method = methods[method].name
        if method not in names:
            raise UserError(f"--set {setting}: the method is not selected", fix="add it to --methods")
        changes.setdefault(method, {})[key] = values
    chosen_configurations: list[Configuration] = []
    for name in names:
        cls = methods[name].cls
        values_by_key = changes.get(name, {})
        for combination in itertools.product(*values_by_key.values()):
            chosen = dict(zip(values_by_key, combination, strict=True))
            check(cls.Config, chosen, where=f"method {name}")
            label = ",".join(f"{key}={_short(value)}" for key, value in chosen.items()) or DEFAULT
            chosen_configurations.append(Configuration(name, label, chosen))
    return tuple(chosen_configurations)


def _parse_setting(setting: str) -> tuple[str, str, list[Any]]:
    match = re.fullmatch(r"([\w-]+)\.(\w+)=(.*)", setting, re.DOTALL)
    if match is None:
        raise UserError(f"--set {setting}: not understood", fix="write METHOD.KEY=VALUE, as in coop.n_ctx=8")
    parts = re.split(r",(?![^\[]*\])", match[3])  # commas inside [...] belong to one value
    try:
        return match[1], match[2], [yaml.safe_load(part) for part in parts]
    except (yaml.YAMLError, ValueError, RecursionError):
        raise UserError(f"--set {setting}: the value is not understood", fix="quote it") from None


def _short(value: Any) -> str:
    return "+".join(map(str, value)) if isinstance(value, list) else str(value)


def restore(cls: type[Method], settings: Mapping[str, Any]) -> MethodConfig:
    """A configuration from its JSON form."""
    return cls.Config.model_validate(dict(settings))


def tasks(spec: RunSpec, chosen: Mapping[str, Dataset], loaded: Mapping[str, Splits]) -> dict[TaskId, Task]:
    """The tasks of a run: every protocol on every training set that it suits, for every number of shots and seed.

    Raises:
        UserError: a protocol names a training set that was not chosen, or no task is left.
    """
    run_tasks: dict[TaskId, Task] = {}
    for protocol in spec.protocols:
        for name in _training_sets(protocol, chosen):
            dataset = chosen[name]
            others = {other: (chosen[other], loaded[other]) for other in other_test_sets(dataset, protocol.name, chosen)}
            shots = dict.fromkeys(min(requested, dataset.shots) for requested in protocol.shots or (spec.shots,))
            for count, seed in itertools.product(shots, spec.seeds):
                task = TaskId(name, protocol.name, count, seed)
                run_tasks[task] = make_task(dataset, loaded[name], task, others)
    if not run_tasks:
        known = ", ".join(PROTOCOLS)
        raise UserError("no task is left", fix=f"name a training set and a protocol that suits it: {known}")
    return dict(sorted(run_tasks.items(), key=lambda item: list(chosen).index(item[0].dataset)))


def _training_sets(protocol: ProtocolSpec, chosen: Mapping[str, Dataset]) -> list[str]:
    """The chosen data sets that a protocol trains on."""
    sets = [name for name, dataset in chosen.items() if dataset.shift_of is None]
    if protocol.train_on is not None:
        for name in protocol.train_on:
            if name not in sets:
                where = f"protocol {protocol.name}: train_on"
                raise UserError(f"{name!r} is not among the training sets", where=where, fix=did_you_mean(name, sets))
        return [name for name in sets if name in protocol.train_on]
    if protocol.name in (DOMAIN, CROSS_DATASET):
        with_shifts = {dataset.shift_of for dataset in chosen.values()}
        sets = [name for name in sets if name in with_shifts]
    return [name for name in sets if protocol.name != CROSS_DATASET or other_test_sets(chosen[name], CROSS_DATASET, chosen)]


def make_plan(
    spec: RunSpec,
    plugins: Registry[Method],
    selected: Sequence[Configuration],
    task_set: Mapping[TaskId, Task],
    digests: Mapping[str, str],
    *,
    device: str,
    precision: str,
    pairs: Sequence[tuple[str, str]] | None = None,
    repairs: Sequence[PlannedRepair] = (),
) -> Plan:
    """Expand pairs (those of ``spec`` unless given) x methods x tasks. Each module is trained once per (method, backbone,
    task) and evaluated wherever a pair asks for it; retraining on a new backbone is an ordinary training cell. ``repairs``
    are evaluated on every new backbone."""
    pairs = tuple(spec.pairs() if pairs is None else pairs)
    with collections_paused():
        jobs = _jobs(spec, plugins, selected, task_set, digests, pairs, {"device": device, "precision": precision})
        jobs = [_with_repairs(job, repairs, plugins, pairs, digests) for job in jobs] if repairs else jobs
    return Plan(pairs, tuple(jobs), dict(task_set), tuple(selected), tuple(repairs))


def _with_repairs(
    job: Job,
    repairs: Sequence[PlannedRepair],
    plugins: Registry[Method],
    pairs: Sequence[tuple[str, str]],
    digests: Mapping[str, str],
) -> Job:
    """A job with the repairs of its module on every new backbone. Modules bound to their training classes are skipped under
    base-to-new, because they have no value on new classes there."""
    cls, old = plugins[job.train.configuration.method].cls, job.train.backbone
    if cls.info.baseline or (cls.info.class_bound and job.train.task.protocol == BASE_TO_NEW):
        return job
    news = [cell for cell in job.evals if cell.backbone != old and (old, cell.backbone) in pairs]
    own = [repair for repair in repairs if repair.applies_to(cls)]
    return Job(job.train, (*job.evals, *(repair.cell(cell, digests[old]) for cell in news for repair in own)))


def _jobs(
    spec: RunSpec,
    plugins: Registry[Method],
    selected: Sequence[Configuration],
    task_set: Mapping[TaskId, Task],
    digests: Mapping[str, str],
    pairs: Sequence[tuple[str, str]],
    where: Mapping[str, str],
) -> list[Job]:
    tested: dict[str, list[str]] = {}
    for old, new in pairs:
        for trained, on in ((old, old), (old, new), (new, new)):
            tested.setdefault(trained, [])
            if on not in tested[trained]:
                tested[trained].append(on)
    common = {"numerics": NUMERICS, **where}
    chosen: dict[tuple[int, str, str, int], tuple[dict[str, Any], str]] = {}  # the same for all seeds and backbones
    jobs = []
    for task_id, task in task_set.items():
        about, split, tests = asdict(task_id), task.split_hash(), task.test_hash()
        shared = {"task": to_json(about), "split": to_json(split)}
        for (trained, targets), (number, configuration) in itertools.product(tested.items(), enumerate(selected)):
            cls = plugins[configuration.method].cls
            group = (number, task_id.dataset, task_id.protocol, task_id.shots)
            if group not in chosen:
                settings = configuration.settings(cls, spec.preset, task_id)
                chosen[group] = settings, to_json(settings)
            settings, text = chosen[group]
            config = common | {
                "kind": "train",
                "method": configuration.method,
                "method_version": cls.info.version,
                "settings": settings,
                "backbone": digests[trained],
                "split": split,
                "task": about,
            }
            train = Cell(
                "train", cell_hash(config, shared | {"settings": text}), config, configuration, trained, task_id, settings
            )
            evals = []
            for target in targets:
                how = common | {"kind": "eval", "module": train.key, "backbone": digests[target], "tests": tests}
                evals.append(Cell("eval", cell_hash(how), how, configuration, target, task_id, settings))
            jobs.append(Job(train, tuple(evals)))
    return jobs


@dataclass(frozen=True)
class BackboneFacts:
    """What the report says about a backbone."""

    name: str
    title: str
    model: str
    digest: str
    embed_dim: int
    text_width: int
    context_length: int
    note: str


def facts(backbone: Backbone, spec: BackboneSpec) -> BackboneFacts:
    """The facts about a loaded backbone."""
    model = spec.model if spec.pretrained is None else f"{spec.model} / {spec.pretrained}"
    if spec.model.startswith("local-dir:") and spec.folder is not None:
        folder = spec.folder
        model = f"local-dir:{folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder}"
    return BackboneFacts(
        name=backbone.name,
        title=spec.title or "",
        model=model,
        digest=backbone.digest,
        embed_dim=backbone.embed_dim,
        text_width=backbone.text_width,
        context_length=backbone.context_length,
        note="random weights" if spec.pretrained == "random" else spec.note or "",
    )


def edited(plugin: Plugin[Method], recorded: str | None) -> bool:
    """True if a plugin's file is not the one that made a record."""
    return recorded is not None and recorded != plugin.digest
