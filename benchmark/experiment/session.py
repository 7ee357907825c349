"""One run of the suite from options to report."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from rich.console import Console

from benchmark.backbones import sanity
from benchmark.backbones.clip import Backbone
from benchmark.config import schema
from benchmark.config.errors import UserError
from benchmark.data.dataset import Dataset
from benchmark.experiment import plan, runner
from benchmark.experiment.devices import cores, find_device, give_back
from benchmark.experiment.plan import BackboneFacts
from benchmark.experiment.progress import Progress
from benchmark.experiment.store import FINAL, Store
from benchmark.experiment.worker import Context, splits_of
from benchmark.method.base import Method
from benchmark.method.registry import Registry


@dataclass(frozen=True)
class Session:
    """Everything that a run is made of."""

    spec: schema.RunSpec
    methods: Registry[Method]
    datasets: dict[str, Dataset]
    plan: plan.Plan
    backbones: list[BackboneFacts]
    store: Store
    context: Context


@dataclass(frozen=True)
class Wanted:
    """What a run asks for, by name; nothing of it is loaded yet."""

    spec: schema.RunSpec
    configurations: tuple[plan.Configuration, ...]
    datasets: dict[str, Dataset]
    backbones: dict[str, schema.BackboneSpec]


def read(
    spec: schema.RunSpec, options: argparse.Namespace, methods: Registry[Method], datasets: Registry[Dataset]
) -> Wanted:
    """Look the names up."""
    selected = plan.configurations(methods, methods.select(spec.methods), options.set)
    root = Path(spec.data_root) if spec.data_root else None
    chosen = {name: datasets[name].cls(root) for name in datasets.select(spec.datasets)}
    used = dict.fromkeys(name for pair in spec.pairs() for name in pair)
    return Wanted(spec, selected, chosen, {name: spec.backbones[name] for name in used})


def prepare(wanted: Wanted, options: argparse.Namespace, methods: Registry[Method], console: Console) -> Session:
    """Load backbones and data sets, one after the other, and make the plan."""
    spec, device = wanted.spec, find_device(options.device)
    if options.device == "auto":
        console.print(f"device: {device}")
    if options.precision != "fp32" and device == "cpu":
        raise UserError(f"--precision {options.precision} needs a GPU", fix="leave it out")
    warnings: list[str] = []
    with console.status("loading backbones and data sets"):
        backbones = []
        for name, backbone_spec in wanted.backbones.items():
            backbone = Backbone.load(name, backbone_spec)
            warnings += sanity.check(backbone) if backbone_spec.pretrained != "random" else []
            backbones.append(plan.facts(backbone, backbone_spec))
        del backbone
        loaded = {name: splits_of(dataset) for name, dataset in wanted.datasets.items()}
        task_set = plan.tasks(spec, wanted.datasets, loaded)
        give_back()
    for warning in itertools.chain(warnings, *(splits.warnings for splits in loaded.values())):
        console.print(f"warning: {warning}", markup=False, soft_wrap=True)
    kind = "cpu" if device == "cpu" else "cuda"
    digests = {facts.name: facts.digest for facts in backbones}
    made = plan.make_plan(spec, methods, wanted.configurations, task_set, digests, device=kind, precision=options.precision)
    store = Store(options.out.resolve())
    context = Context(
        backbones=wanted.backbones,
        datasets=tuple(wanted.datasets),
        store=store.root,
        cache=store.root / "features",
        device=device,
        precision=options.precision,
        folders=spec.folders,
        data_root=Path(spec.data_root) if spec.data_root else None,
    )
    return Session(spec, methods, wanted.datasets, made, backbones, store, context)


def lock(root: Path) -> FileLock:
    """Keep a second run off the same results; the operating system releases the lock of a dead run."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock = FileLock(root / ".lock")
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(f"another run is writing to {root}", fix="wait for it, or choose another --out") from None
    except OSError as error:
        raise UserError(f"{root} cannot be written: {error.strerror}", fix="choose another --out") from None
    return lock


def worker_contexts(context: Context, workers: int | None) -> list[Context]:
    """One context per worker: on CPU one a core, on GPUs one a card."""
    if context.device == "cuda":
        count = torch.cuda.device_count()
        slots = [f"cuda:{i % count}" for i in range(workers or count)]
    else:
        slots = [context.device] * (workers or (1 if context.device.startswith("cuda") else cores()))
    decoders = max(1, cores() // len(slots))
    return [replace(context, device=device, decoders=decoders) for device in slots]


def compute(
    jobs: Sequence[plan.Job],
    store: Store,
    context: Context,
    console: Console,
    *,
    workers: int | None = None,
    timeout: float | None = None,
    apart: bool = False,
) -> None:
    """Run whatever of the jobs is not finished, with progress.

    Args:
        jobs: In the order to take them.
        store: Where records go.
        context: Of one worker.
        console: For the progress.
        workers: Processes; 0 runs everything in this one, None takes one a core or GPU.
        timeout: Seconds after which a cell is killed.
        apart: Every job is handed out by itself, instead of all jobs of one backbone and task together.
    """
    todo = runner.bundles(jobs, store, apart=apart)
    keys = {cell.key for bundle in todo for job in bundle for cell in (job.train, *job.evals)}
    total = sum(1 for key in keys if store.status(key) not in FINAL)
    if not todo:
        return
    with Progress(total, console) as progress:
        if workers == 0:
            runner.run_here(todo, context, progress.on_cell)
        else:
            contexts = worker_contexts(context, workers)
            runner.run_pool(todo, contexts, progress.on_cell, cell_timeout=timeout, on_tick=progress.tick)
