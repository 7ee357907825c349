"""The main job from options to report: the terminal side of a session."""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console

from benchmark.cli.console import datasets_table, methods_table, plan_table, time_table
from benchmark.config import schema
from benchmark.config.errors import UserError
from benchmark.experiment import estimate, plan, preflight
from benchmark.experiment.session import Session, compute, lock, prepare, read, worker_contexts
from benchmark.experiment.store import FINAL
from benchmark.method import registry


def run(options: argparse.Namespace, console: Console, conclude: Callable[[Session], int]) -> int:
    """Do what the options ask for; returns the exit status, which after a run is that of ``conclude``."""
    spec = None if options.list else _override(schema.load(options.upgrade_pairs), options)
    methods, datasets = registry.methods(), registry.datasets(own=spec.folders if spec else None)
    for kind in (methods, datasets):
        for name, reason in kind.broken.items():
            console.print(f"warning: {kind.kind} {name!r} is broken and left out: {reason}", markup=False, soft_wrap=True)
    if spec is None:
        Console(highlight=False).print(methods_table(methods), datasets_table(datasets))
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


def _override(spec: schema.RunSpec, options: argparse.Namespace) -> schema.RunSpec:
    """The YAML with the command line's choices in place of its own."""
    given = {name: getattr(options, name) for name in ("methods", "datasets", "protocols", "seeds", "shots")}
    changes = {name: value for name, value in given.items() if value is not None}
    if options.data_root is not None:
        changes["data_root"] = str(options.data_root.expanduser().resolve())
    if "protocols" in changes:  # those that the YAML has too keep its settings
        known = {each.name: each.model_dump() for each in spec.protocols}
        changes["protocols"] = [known.get(name, name) for name in changes["protocols"]]
    return schema.check(schema.RunSpec, {**spec.model_dump(), **changes}, where="command line")


def _check_writable(report: Path) -> None:
    """Find out before the work, not after it, that the report cannot be written."""
    try:
        report.parent.mkdir(parents=True, exist_ok=True)
        if report.is_dir() or not os.access(report.parent, os.W_OK):
            raise OSError("it is a folder" if report.is_dir() else "permission denied")
    except OSError as error:
        raise UserError(f"--report {report} cannot be written: {error}", fix="choose another file") from None


def _warn_of_edits(session: Session, console: Console) -> None:
    """Say which plugins were edited since their cells were computed; their results are kept."""
    old: Counter[str] = Counter()
    for cell in session.plan.cells():
        record = session.store.record(cell.key)
        if record and plan.edited(session.methods[cell.configuration.method], record.get("plugin")):
            old[cell.configuration.method] += 1
    for name, count in old.items():
        file = session.methods[name].file.name
        console.print(
            f"warning: {file} was edited since {count} of its cells were computed; they are kept. "
            "If the edit changes results, raise info.version in the file.",
            soft_wrap=True,
        )


def _print_plan(session: Session, options: argparse.Namespace) -> None:
    console = Console(highlight=False)
    console.print(plan_table(session.plan, session.store))
    statuses = [session.store.status(cell.key) for cell in session.plan.cells()]
    done = sum(status in FINAL for status in statuses)
    pairs = ", ".join(f"{old} -> {new}" for old, new in session.plan.pairs)
    console.print(f"pairs: {pairs}")
    console.print(f"tasks: {len(session.plan.tasks)} (data set x protocol x seed)")
    console.print(f"cells: {len(statuses)}, {done} done, {len(statuses) - done} to do")
    if done == len(statuses):
        console.print("nothing is left to do")
        return
    contexts = worker_contexts(session.context, options.workers)
    with console.status("trying each method for a moment"):
        torch.set_num_threads(contexts[0].threads)
        found = estimate.estimate(session.plan, contexts[0], session.store.status)
    console.print(time_table(found, len(contexts), session.context.device))
