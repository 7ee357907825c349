"""The main job from options to report."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Collection
from dataclasses import replace

from rich.console import Console

from benchmark.analysis.repair_cells import ACTIONS, planned_repairs
from benchmark.cli import dry_run
from benchmark.cli.console import progress_console
from benchmark.cli.execution import execution_of, require_writable, spec_of
from benchmark.cli.interim import Interim
from benchmark.cli.list_plugins import warn_of_broken
from benchmark.cli.unchanged import LastRun
from benchmark.cli.until_decided import Looks, with_more_seeds
from benchmark.experiment import preflight
from benchmark.experiment.plan import Cell, edited
from benchmark.experiment.session import Session, compute, lock, open_session, registries, select
from benchmark.experiment.verify import Survey


def run(options: argparse.Namespace, last: LastRun) -> int:
    """Do what the options ask for; returns the exit status. ``last`` is told how it ended."""
    console = progress_console()
    spec = spec_of(
        options,
        methods=options.methods,
        datasets=options.datasets,
        protocols=options.protocols,
        seeds=options.seeds,
        shots=options.shots,
        repairs=options.repairs,
    )
    first = spec.seeds
    spec = with_more_seeds(spec, options)
    methods, datasets = registries(spec)
    warn_of_broken(methods, datasets, console)
    selection = replace(select(spec, options.set, methods, datasets), repairs=planned_repairs(spec.repairs))
    if options.prepare:
        return preflight.prepare(selection.backbones, selection.datasets.values(), console)
    execution = execution_of(options)
    if options.dry_run and (lacking := preflight.missing(selection.backbones, selection.datasets.values())):
        selection = replace(selection, spec=spec.model_copy(update={"seeds": first}))
        dry_run.print_rough_plan(selection, execution, methods, lacking, console)
        return 0
    preflight.require(selection.backbones, selection.datasets.values(), console)
    looks = Looks(open_session(selection, execution, methods, console), first)
    session = looks.session
    if options.dry_run:
        dry_run.print_plan(session)
        return 0
    if options.report:
        require_writable(options.report)
    with lock(session.store.root):
        _compute(session, options, console)
        while looks.add_seed(console):
            session = looks.session
            _compute(session, options, console)
        # Not before the work: pandas, SciPy and matplotlib would take memory that the workers can use.
        from benchmark.cli.finish import finish

        status, closing = finish(session, options.report, options.given)
        if status == 0:
            last.remember(spec, closing)
        return status


def _compute(session: Session, options: argparse.Namespace, console: Console) -> None:
    """Compute what is left of a session, with tables and report meanwhile."""
    with Interim(session, options.report, options.given) as interim:

        def on_start(found: Survey, left: Collection[Cell]) -> None:
            _warn_of_edits(session, found, console)
            interim.on_start(left)

        compute(session, session.plan.jobs, console, actions=ACTIONS, on_start=on_start, on_cell=interim.on_cell)


def _warn_of_edits(session: Session, found: Survey, console: Console) -> None:
    """Say which plugins were edited since their cells were computed; their results are kept."""
    counts: Counter[str] = Counter()
    for cell in session.plan.cells():
        brief = found.cells.get(cell.key)
        if brief and edited(session.methods[cell.configuration.method], brief.plugin):
            counts[cell.configuration.method] += 1
    for name, count in counts.items():
        file = session.methods[name].file.name
        console.print(
            f"warning: {file} was edited since {count} of its cells were computed; they are kept. "
            "If the edit changes results, raise info.version in the file.",
            soft_wrap=True,
        )
