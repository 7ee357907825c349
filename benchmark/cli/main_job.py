"""The main job from options to report."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Collection

from rich.console import Console

from benchmark.cli.console import plan_table, progress_console, time_table
from benchmark.cli.execution import execution_of, require_writable, spec_of
from benchmark.cli.interim import Interim
from benchmark.cli.list_plugins import warn_of_broken
from benchmark.cli.unchanged import LastRun
from benchmark.config.errors import UserError
from benchmark.experiment import preflight
from benchmark.experiment.devices import find_device, use_cpu
from benchmark.experiment.plan import Cell, edited
from benchmark.experiment.session import Session, compute, lock, open_session, registries, select
from benchmark.experiment.verify import Survey, survey
from benchmark.experiment.worker import worker_contexts
from benchmark.method.relatedness import SCALE


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
    )
    methods, datasets = registries(spec)
    warn_of_broken(methods, datasets, console)
    selection = select(spec, options.set, methods, datasets)
    if options.prepare:
        return preflight.prepare(selection.backbones, selection.datasets.values(), console)
    preflight.require(selection.backbones, selection.datasets.values(), console)
    session = open_session(selection, execution_of(options), methods, console)
    if options.dry_run:
        _print_plan(session)
        return 0
    if options.report:
        require_writable(options.report)
    with lock(session.store.root):
        with Interim(session, options.report, options.given) as interim:

            def on_start(found: Survey, left: Collection[Cell]) -> None:
                _warn_of_edits(session, found, console)
                interim.on_start(left)

            compute(session, session.plan.jobs, console, on_start=on_start, on_cell=interim.on_cell)
        # Not before the work: pandas, SciPy and matplotlib would take memory that the workers can use.
        from benchmark.cli.finish import finish

        status, closing = finish(session, options.report, options.given)
        if status == 0:
            last.remember(spec, closing)
        return status


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


def _print_plan(session: Session) -> None:
    console = Console(highlight=False)
    found = survey(session.store, session.plan.jobs, files=False)
    console.print(plan_table(session.plan, found.is_final))
    finals = [found.is_final(cell) for cell in session.plan.cells()]
    done = sum(finals)
    pairs = ", ".join(f"{old} \N{RIGHTWARDS ARROW} {new}" for old, new in session.plan.pairs)
    console.print(f"pairs: {pairs}")
    related = {pair: session.relatedness.get("->".join(pair)) for pair in session.plan.pairs}
    known = [f"{old} \N{RIGHTWARDS ARROW} {new} {value:.2f}" for (old, new), value in related.items() if value is not None]
    if known:
        console.print(f"relatedness ({SCALE}): {', '.join(known)}", soft_wrap=True)
    console.print(f"tasks: {len(session.plan.tasks)} (data set x protocol x seed)")
    console.print(f"cells: {len(finals)}, {done} done, {len(finals) - done} to do")
    if done == len(finals):
        console.print("nothing is left to do")
        return
    try:
        find_device(session.context.device)
    except UserError:  # an executor may have devices elsewhere
        console.print(f"the time is estimated where there is a {session.context.device} device; there is none here")
        return
    from benchmark.experiment.estimate import estimate

    contexts = worker_contexts(session.context, session.execution.workers)
    with console.status("timing a few steps per method"):
        use_cpu(contexts[0].threads)
        times = estimate(session.plan, contexts[0], found.status)
    console.print(time_table(times, len(contexts), session.context.device))
