"""The main job from options to report."""

from __future__ import annotations

import argparse
from collections import Counter

from rich.console import Console

from benchmark.cli.console import plan_table, progress_console, time_table
from benchmark.cli.execution import execution_of, require_writable, spec_of
from benchmark.cli.interim import Interim
from benchmark.cli.list_plugins import warn_of_broken
from benchmark.config.errors import UserError
from benchmark.experiment import preflight
from benchmark.experiment.devices import find_device, use_cpu
from benchmark.experiment.plan import edited
from benchmark.experiment.session import Session, compute, lock, open_session, registries, select
from benchmark.experiment.store import FINAL
from benchmark.experiment.worker import worker_contexts
from benchmark.method.relatedness import SCALE


def run(options: argparse.Namespace) -> int:
    """Do what the options ask for; returns the exit status."""
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
        _warn_of_edits(session, console)
        with Interim(session, options.report, options.given) as interim:
            compute(session, session.plan.jobs, console, on_cell=interim.on_cell)
        # Not before the work: pandas, SciPy and matplotlib would take memory that the workers can use.
        from benchmark.cli.finish import finish

        return finish(session, options.report, options.given)


def _warn_of_edits(session: Session, console: Console) -> None:
    """Say which plugins were edited since their cells were computed; their results are kept."""
    counts: Counter[str] = Counter()
    for cell in session.plan.cells():
        record = session.store.record(cell.key)
        if record and edited(session.methods[cell.configuration.method], record.get("plugin")):
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
    console.print(plan_table(session.plan, session.store))
    statuses = [session.store.status(cell.key) for cell in session.plan.cells()]
    done = sum(status in FINAL for status in statuses)
    pairs = ", ".join(f"{old} \N{RIGHTWARDS ARROW} {new}" for old, new in session.plan.pairs)
    console.print(f"pairs: {pairs}")
    related = {pair: session.relatedness.get("->".join(pair)) for pair in session.plan.pairs}
    known = [f"{old} \N{RIGHTWARDS ARROW} {new} {value:.2f}" for (old, new), value in related.items() if value is not None]
    if known:
        console.print(f"relatedness ({SCALE}): {', '.join(known)}", soft_wrap=True)
    console.print(f"tasks: {len(session.plan.tasks)} (data set x protocol x seed)")
    console.print(f"cells: {len(statuses)}, {done} done, {len(statuses) - done} to do")
    if done == len(statuses):
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
        times = estimate(session.plan, contexts[0], session.store.status)
    console.print(time_table(times, len(contexts), session.context.device))
