"""One run of the suite from options to report."""

from __future__ import annotations

import argparse
import itertools
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from rich.console import Console

from benchmark import config, gates, plan, preflight, probe, registry, runner, terminal
from benchmark.backbone import Backbone
from benchmark.dataset import Dataset
from benchmark.errors import UserError
from benchmark.machine import cores, find_device, give_back
from benchmark.method import Method
from benchmark.plan import BackboneFacts
from benchmark.progress import Progress
from benchmark.registry import Registry
from benchmark.store import FINAL, Store
from benchmark.work import Context, splits_of


@dataclass(frozen=True)
class Session:
    """Everything that a run is made of."""

    spec: config.RunSpec
    methods: Registry[Method]
    datasets: dict[str, Dataset]
    plan: plan.Plan
    backbones: list[BackboneFacts]
    store: Store
    context: Context


def run(options: argparse.Namespace, console: Console, conclude: Callable[[Session], int]) -> int:
    """Do what the options ask for; returns the exit status, which after a run is that of ``conclude``."""
    spec = None if options.list else _override(config.load(options.upgrade_pairs), options)
    methods, datasets = registry.methods(), registry.datasets(own=spec.folders if spec else None)
    for kind in (methods, datasets):
        for name, reason in kind.broken.items():
            console.print(f"warning: {kind.kind} {name!r} is broken and left out: {reason}", markup=False, soft_wrap=True)
    if spec is None:
        Console(highlight=False).print(terminal.methods(methods), terminal.datasets(datasets))
        return 0
    wanted = read(spec, options, methods, datasets)
    if options.prepare:
        return preflight.prepare(wanted.backbones, wanted.datasets.values(), console)
    preflight.require(wanted.backbones, wanted.datasets.values(), console)
    session = prepare(wanted, options, methods, console)
    if options.dry_run:
        _print_plan(session, options)
        return 0
    _check_writable(options.report)
    with lock(session.store.root):
        _warn_of_edits(session, console)
        compute(
            session.plan.jobs,
            session.store,
            session.context,
            console,
            workers=options.workers,
            timeout=options.cell_timeout,
        )
        return conclude(session)


@dataclass(frozen=True)
class Wanted:
    """What a run asks for, by name; nothing of it is loaded yet."""

    spec: config.RunSpec
    variants: tuple[plan.Variant, ...]
    datasets: dict[str, Dataset]
    backbones: dict[str, config.BackboneSpec]


def read(
    spec: config.RunSpec, options: argparse.Namespace, methods: Registry[Method], datasets: Registry[Dataset]
) -> Wanted:
    """Look the names up."""
    selected = plan.variants(methods, methods.select(spec.methods), options.set)
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
            warnings += gates.check(backbone) if backbone_spec.pretrained != "random" else []
            backbones.append(plan.facts(backbone, backbone_spec))
        del backbone
        loaded = {name: splits_of(dataset) for name, dataset in wanted.datasets.items()}
        task_set = plan.tasks(spec, wanted.datasets, loaded)
        give_back()
    for warning in itertools.chain(warnings, *(splits.warnings for splits in loaded.values())):
        console.print(f"warning: {warning}", markup=False, soft_wrap=True)
    kind = "cpu" if device == "cpu" else "cuda"
    digests = {facts.name: facts.digest for facts in backbones}
    made = plan.make_plan(spec, methods, wanted.variants, task_set, digests, device=kind, precision=options.precision)
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


def _override(spec: config.RunSpec, options: argparse.Namespace) -> config.RunSpec:
    """The YAML with the command line's choices in place of its own."""
    given = {name: getattr(options, name) for name in ("methods", "datasets", "protocols", "seeds", "shots")}
    changes = {name: value for name, value in given.items() if value is not None}
    if options.data_root is not None:
        changes["data_root"] = str(options.data_root.expanduser().resolve())
    if "protocols" in changes:  # those that the YAML has too keep its settings
        known = {each.name: each.model_dump() for each in spec.protocols}
        changes["protocols"] = [known.get(name, name) for name in changes["protocols"]]
    return config.check(config.RunSpec, {**spec.model_dump(), **changes}, where="command line")


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


def _check_writable(report: Path) -> None:
    """Find out before the work, not after it, that the report cannot be written."""
    try:
        report.parent.mkdir(parents=True, exist_ok=True)
        if report.is_dir() or not os.access(report.parent, os.W_OK):
            raise OSError("it is a folder" if report.is_dir() else "permission denied")
    except OSError as error:
        raise UserError(f"--report {report} cannot be written: {error}", fix="choose another file") from None


def _contexts(context: Context, workers: int | None) -> list[Context]:
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
            contexts = _contexts(context, workers)
            runner.run_pool(todo, contexts, progress.on_cell, cell_timeout=timeout, on_tick=progress.tick)


def _warn_of_edits(session: Session, console: Console) -> None:
    """Say which plugins were edited since their cells were computed; their results are kept."""
    old: Counter[str] = Counter()
    for cell in session.plan.cells():
        record = session.store.record(cell.key)
        if record and plan.edited(session.methods[cell.variant.method], record.get("plugin")):
            old[cell.variant.method] += 1
    for name, count in old.items():
        file = session.methods[name].file.name
        console.print(
            f"warning: {file} was edited since {count} of its cells were computed; they are kept. "
            "If the edit changes results, raise info.version in the file.",
            soft_wrap=True,
        )


def _print_plan(session: Session, options: argparse.Namespace) -> None:
    console = Console(highlight=False)
    console.print(terminal.plan(session.plan, session.store))
    statuses = [session.store.status(cell.key) for cell in session.plan.cells()]
    done = sum(status in FINAL for status in statuses)
    pairs = ", ".join(f"{old} -> {new}" for old, new in session.plan.pairs)
    console.print(f"pairs: {pairs}")
    console.print(f"tasks: {len(session.plan.tasks)} (data set x protocol x seed)")
    console.print(f"cells: {len(statuses)}, {done} done, {len(statuses) - done} to do")
    if done == len(statuses):
        console.print("nothing is left to do")
        return
    contexts = _contexts(session.context, options.workers)
    with console.status("trying each method for a moment"):
        torch.set_num_threads(contexts[0].threads)
        found = probe.estimate(session.plan, contexts[0], session.store.status)
    console.print(terminal.estimate(found, len(contexts), session.context.device))
