"""What a worker does with a job: train the module, then evaluate it on every requested backbone; one record per cell."""

from __future__ import annotations

import socket
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmark.backbones.clip import Backbone
from benchmark.backbones.precision import Precision
from benchmark.backbones.seal import Seal
from benchmark.config.errors import UserError, clean
from benchmark.config.schema import BackboneSpec, FolderSpec
from benchmark.data.dataset import Dataset, Splits
from benchmark.data.features import FeatureStore
from benchmark.data.task import Task, TaskId, make_task, other_test_sets
from benchmark.experiment.devices import Gpu, cores, gpus, peak_memory_mb, use_cpu
from benchmark.experiment.isolation import LONGEST, described, exits_are_errors, switches_kept
from benchmark.experiment.loading import splits_of
from benchmark.experiment.plan import Cell, Job, restore
from benchmark.experiment.store import FINAL, MODULE, Store, predictions_file
from benchmark.method import registry
from benchmark.method.checkpoints import module_file
from benchmark.method.passage import Passage
from benchmark.method.terms import Incompatible
from benchmark.training.checkpoint import EVERY, Checkpoint
from benchmark.training.evaluation import Predictions
from benchmark.training.loop import Diverged
from benchmark.training.modules import Module, scorer_of, train_module
from benchmark.training.replay import is_out_of_memory
from benchmark.training.scoring import AT_HOME, Scores, predictions_of, remembered

KEPT = 8 * 2**30
"""Bytes of backbones that a worker keeps for its next jobs."""
Action = Callable[["Worker", Cell, Cell, Mapping[str, Any]], dict[str, Any]]
"""Computes a cell of another kind than training and evaluation. Called with a worker, the cell, the training cell of its
module and that cell's record; returns what to write about the cell, see ``Store.write``."""
Report = Callable[[str, str, str, str], None]
"""Called with (event, key, status, reason): event is "start" or "end" of a cell."""


@dataclass
class Context:
    """All that a worker needs to know, as plain data that can be sent to another process."""

    backbones: dict[str, BackboneSpec]
    datasets: tuple[str, ...]
    store: Path
    cache: Path | None
    device: str
    precision: Precision
    plugins: tuple[Path, ...] = ()
    """The user's folders of methods and data sets."""
    skipped: Mapping[str, str] = field(default_factory=dict)
    """Files of plugins that must not be imported, and why; see ``probe``."""
    folders: Mapping[str, FolderSpec] = field(default_factory=dict)
    data_root: Path | None = None
    visible: str | None = None
    """What CUDA_VISIBLE_DEVICES must say in the worker's process; None if it is right already."""
    threads: int = 1
    """Of arithmetic on the CPU."""
    decoders: int = 1
    """Threads that decode images."""
    checkpoint_seconds: float = EVERY
    """Between two checkpoints of a training."""
    log: str = ""
    """File with the output of whatever computes the cells, for their records."""
    actions: Mapping[str, Action] = field(default_factory=dict)
    """What to do for cells of other kinds than "train" and "eval"; functions that another process can import."""


@dataclass(frozen=True)
class _Outcome:
    """How an attempt at a cell ended, and what its record says."""

    status: str
    reason: str = ""
    content: dict[str, Any] = field(default_factory=dict)
    log: str = ""
    """Of an unexpected error: the end of its traceback."""


def _attempt(work: Callable[[], dict[str, Any]]) -> _Outcome:
    """Run a cell; whatever a plugin raises is an outcome."""
    try:
        with exits_are_errors():
            return _Outcome("ok", content=work())
    except Incompatible as error:
        return _Outcome("incompatible", clean(error, LONGEST))
    except Diverged as error:
        return _Outcome("diverged", clean(error, LONGEST))
    except UserError as error:
        return _Outcome("failed", clean(error, LONGEST))
    except Exception as error:
        if is_out_of_memory(error):
            return _Outcome("oom", clean(str(error).split("\n")[0], LONGEST))
        log = traceback.format_exc(limit=-20)[-4000:].encode("utf-8", "replace").decode()
        return _Outcome("failed", described(error), log=log)


@dataclass
class Worker:
    """Loads what jobs need once, and runs jobs."""

    context: Context
    _backbones: OrderedDict[str, Backbone] = field(default_factory=OrderedDict)
    """The latest used is the last."""
    _seals: dict[str, Seal] = field(default_factory=dict)
    """Of the backbones; see ``_repair``."""
    _tasks: dict[TaskId, Task] = field(default_factory=dict)
    _passages: dict[tuple[str, str], Passage] = field(default_factory=dict)
    """By names of the old and the new backbone."""

    def __post_init__(self) -> None:
        use_cpu(self.context.threads)
        if self.context.device.startswith("cuda"):
            torch.cuda.set_device(self.context.device)  # peak memory is read from the current card
        self.methods = registry.methods(self.context.plugins, self.context.skipped)
        self.datasets = registry.datasets(self.context.plugins, self.context.folders, self.context.skipped)
        self.features = FeatureStore(self.context.cache, threads=self.context.decoders, deferred=True)
        self.store = Store(self.context.store)
        self.scores: Scores = {}
        """What cells of one job, that is of one module, share."""
        self._shares = False

    def run(self, job: Job, report: Report) -> None:
        """Run the cells of a job that have no final record; a cell that fails affects only the cells that depend on it."""
        self.scores.clear()
        self._shares = any(cell.kind in self.context.actions for cell in job.evals)
        left = [cell for cell in (job.train, *job.evals) if self.store.status(cell.key) not in FINAL]
        if job.train in left:
            self._cell(job.train, report, lambda: self._train(job.train), last=len(left) == 1)
        trained = self.store.record(job.train.key)
        for cell in job.evals:
            if self.store.status(cell.key) in FINAL:
                continue
            if trained is None or trained["status"] != "ok":
                status = "incompatible" if trained and trained["status"] == "incompatible" else "blocked"
                reason = blocked_by(trained, incompatible=status == "incompatible")
                report("start", cell.key, "", "")
                self.store.write(cell.key, cell.config, status, reason=reason)
                report("end", cell.key, status, reason)
            else:
                act = self.context.actions.get(cell.kind, Worker._evaluate)
                work = partial(act, self, cell, job.train, trained)
                self._cell(cell, report, work, last=cell is left[-1])

    def _cell(self, cell: Cell, report: Report, work: Callable[[], dict[str, Any]], *, last: bool) -> None:
        report("start", cell.key, "", "")
        start = time.perf_counter()
        if self.context.device.startswith("cuda"):
            torch.cuda.reset_peak_memory_stats()
        with switches_kept():
            outcome = _attempt(work)
        seconds = time.perf_counter() - start
        damage = self._repair(self._backbones if last else (cell.backbone,))
        if damage:
            outcome = _Outcome("failed", damage, log=outcome.log)
        digest = self.methods[cell.configuration.method].digest
        seconds += outcome.content.get("earlier_seconds", 0.0)
        about: dict[str, Any] = {"seconds": seconds, "peak_mb": self._peak_mb(), "plugin": digest}
        if outcome.log:
            about["traceback"] = outcome.log
        if self.context.log:
            about |= {"log": self.context.log, "host": socket.gethostname()}
        self.store.write(cell.key, cell.config, outcome.status, reason=outcome.reason, **about, **outcome.content)
        report("end", cell.key, outcome.status, outcome.reason)
        self._make_room()  # not while a cell is computed, which may use several

    def _repair(self, names: Iterable[str]) -> str:
        """Load the named backbones again if a cell has changed them, and forget the features that it left; says what it
        changed, "" if nothing. After a cell its own is named; after the last of a job all, which its method may know."""
        damage = [problem for seal in self._seals.values() if (problem := seal.restore_class())]
        for name in [name for name in names if name in self._seals]:
            if problem := self._seals[name].broken():
                damage.append(problem)
                self._forget(name)
        if damage:
            self.features.discard()
            self.scores.clear()
        else:
            self.features.commit()
        return "; ".join(dict.fromkeys(damage))

    def _train(self, cell: Cell) -> dict[str, Any]:
        backbone, task = self.backbone(cell.backbone), self.task(cell.task)
        _require_same(cell, "split", task.split_hash())
        cls = self.methods[cell.configuration.method].cls
        config = restore(cls, cell.settings)
        digest = self.methods[cell.configuration.method].digest
        checkpoint = Checkpoint(self.store.checkpoint(cell.key), owner=digest, every=self.context.checkpoint_seconds)
        method, log = train_module(
            cls, config, backbone, task, self.features, precision=self.context.precision, checkpoint=checkpoint
        )
        tensors = method.tensors()
        about = {
            "method": cell.configuration.method,
            "settings": dict(cell.settings),
            "classes": list(task.classes),
            "template": task.template,
            "context_words": task.context_words,
            "backbone": {"name": backbone.name, "digest": backbone.digest},
            "tensors": {name: list(value.shape) for name, value in tensors.items()},
        }
        return {
            "files": {MODULE: module_file(tensors, about)},
            "parameters": sum(value.numel() for value in tensors.values()),
            "steps": log.steps,
            "train_seconds": log.seconds,
            "earlier_seconds": log.earlier_seconds,
            "micro_batch": log.micro_batch,
            "skipped_steps": log.skipped,
            "replayed": log.replayed,
            "loss": [log.first_loss, log.last_loss] if log.steps else None,
            "images": len(task.train),
            "data": {"split": task.split_hash(), "note": task.note},
        }

    def _evaluate(self, cell: Cell, trained: Cell, record: Mapping[str, Any]) -> dict[str, Any]:
        backbone, task = self.backbone(cell.backbone), self.task(cell.task)
        _require_same(cell, "tests", task.test_hash())
        module = self.module(trained)
        elsewhere = cell.config["backbone"] != trained.config["backbone"]
        passage = self.passage(trained.backbone, cell.backbone) if elsewhere else None
        precision = self.context.precision
        scorer = scorer_of(module, backbone, task, self.features, precision=precision, passage=passage)
        if self._shares and not elsewhere:
            scorer = remembered(self.scores, scorer, AT_HOME)
        return evaluated(predictions_of(task, scorer), record)

    def module(self, trained: Cell) -> Module:
        """The module that a finished training left."""
        cls = self.methods[trained.configuration.method].cls
        tensors = self.store.load_module(trained.key)
        return Module(cls, restore(cls, trained.settings), tensors, self.task(trained.task).classes)

    def passage(self, old: str, new: str) -> Passage:
        """From one backbone to another."""
        if (old, new) not in self._passages:
            self._passages[old, new] = Passage(lambda: self.backbone(old), self.backbone(new))
        return self._passages[old, new]

    def backbone(self, name: str) -> Backbone:
        if name not in self._backbones:
            self._backbones[name] = Backbone.load(name, self.context.backbones[name], self.context.device)
            self._seals[name] = Seal(self._backbones[name])
        self._backbones.move_to_end(name)
        return self._backbones[name]

    def _forget(self, name: str) -> None:
        """Let go of a backbone and of all that refers to it."""
        del self._seals[name], self._backbones[name]
        self._passages = {pair: passage for pair, passage in self._passages.items() if name not in pair}

    def _make_room(self) -> None:
        """Let go of the backbones that were not used for the longest time, if all take more than ``KEPT``."""
        while len(self._backbones) > 1 and sum(backbone.nbytes for backbone in self._backbones.values()) > KEPT:
            self._forget(next(iter(self._backbones)))

    def task(self, task: TaskId) -> Task:
        if task not in self._tasks:
            chosen = {name: self._dataset(name) for name in self.context.datasets}
            own = chosen[task.dataset]
            others = {name: (chosen[name], self._load(name)) for name in other_test_sets(own, task.protocol, chosen)}
            self._tasks[task] = make_task(own, self._load(task.dataset), task, others)
        return self._tasks[task]

    def _load(self, name: str) -> Splits:
        return splits_of(self._dataset(name))

    def _dataset(self, name: str) -> Dataset:
        return self.datasets[name].cls(self.context.data_root)

    def _peak_mb(self) -> float:
        """Peak memory in MB: of the GPU for the cell, else of the process so far; NaN where that is not known."""
        if self.context.device.startswith("cuda"):
            return torch.cuda.max_memory_allocated() / 2**20
        return peak_memory_mb()


def _require_same(cell: Cell, what: str, found: str) -> None:
    """Check that this process has read the images that the plan was made with.

    Raises:
        UserError: it has not.
    """
    if cell.config[what] != found:
        reason = f"dataset {cell.task.dataset!r} gives other images each time it is loaded"
        raise UserError(reason, fix="draw them with a fixed seed in its load()")


def evaluated(predictions: Mapping[str, Predictions], trained: Mapping[str, Any]) -> dict[str, Any]:
    """What to write about an evaluation; ``trained`` is the record of the training that made its module."""
    predicted = {part: some.predicted for part, some in predictions.items()}
    confidences = {part: some.confidences for part, some in predictions.items() if some.confidences is not None}
    return {
        "files": predictions_file(predicted, confidences),
        "accuracy": {part: some.accuracy for part, some in predictions.items()},
        "read": {MODULE: trained["files"][MODULE]},
    }


def blocked_by(trained: dict[str, Any] | None, *, incompatible: bool = False) -> str:
    """Why an evaluation cannot be computed: what happened to the training of its module."""
    if trained is None:
        return "its module was not trained"
    return (
        str(trained["reason"]) if incompatible else f"its module was not trained: {trained['status']}: {trained['reason']}"
    )


def worker_contexts(context: Context, workers: int | None, per_gpu: int = 1) -> list[Context]:
    """One context per worker: on a CPU one per core, on GPUs ``per_gpu`` for each card that this process may see."""
    if context.device == "cuda":
        cards = gpus()
        slots = [cards[i % len(cards)] for i in range(workers or len(cards) * per_gpu)]
    else:
        slots = [Gpu(context.device)] * (workers or (per_gpu if context.device.startswith("cuda") else cores()))
    decoders = max(1, cores() // len(slots))
    return [replace(context, device=slot.device, visible=slot.visible, decoders=decoders) for slot in slots]
