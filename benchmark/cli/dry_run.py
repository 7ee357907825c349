"""What ``--dry-run`` prints: the plan, what is done, and what the rest costs, also where weights or data are missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from benchmark.cli.console import hours, plan_table, time_table
from benchmark.config.errors import UserError
from benchmark.config.missing import Missing
from benchmark.experiment import preflight
from benchmark.experiment.costs import SPEEDS, Costs
from benchmark.experiment.devices import find_device, use_cpu
from benchmark.experiment.plan import Plan
from benchmark.experiment.rough_plan import RoughPlan, rough_plan, seconds_by
from benchmark.experiment.session import Execution, Selection, Session
from benchmark.experiment.verify import survey
from benchmark.experiment.worker import worker_contexts
from benchmark.method.base import Method
from benchmark.method.registry import Registry
from benchmark.method.relatedness import SCALE


def print_plan(session: Session) -> None:
    """Where everything is there: what is left, and the time from a few steps of every method."""
    console, plan = Console(highlight=False), session.plan
    found = survey(session.store, plan.jobs, files=False)
    console.print(plan_table(plan, found.is_final))
    left = [cell for cell in plan.cells() if not found.is_final(cell)]
    total = sum(1 for _ in plan.cells())
    _print_sizes(plan, console)
    related = {pair: session.relatedness.get("->".join(pair)) for pair in plan.pairs}
    known = [f"{_arrow(pair)} {value:.2f}" for pair, value in related.items() if value is not None]
    if known:
        console.print(f"relatedness ({SCALE}): {', '.join(known)}", soft_wrap=True)
    console.print(f"cells: {total}, {total - len(left)} done, {len(left)} to do")
    if not left:
        console.print("nothing is left to do")
        return
    device = session.context.device
    try:
        find_device(device)
    except UserError:  # an executor may have devices elsewhere
        costs = Costs(plan, session.methods, session.flops, device)
        console.print(f"there is no {device} device here: the cost is counted, not timed")
        _print_cost(sum(map(costs.guess, left)), device, console)
        return
    from benchmark.experiment.estimate import estimate

    contexts = worker_contexts(session.context, session.execution.workers)
    with console.status("timing a few steps per method"):
        use_cpu(contexts[0].threads)
        times = estimate(plan, contexts[0], found.status)
    console.print(time_table(times, len(contexts), device))


def print_rough_plan(
    selection: Selection,
    execution: Execution,
    methods: Registry[Method],
    lacking: Sequence[Missing],
    progress: Console,
) -> None:
    """Where weights or data are missing: the same plan by published counts, and the cost by counted operations."""
    device = "cpu" if execution.device == "cpu" else "cuda"
    try:
        with progress.status("counting operations"):
            rough = rough_plan(selection, execution, methods, device)
    except UserError:  # what is missing is why
        preflight.require(selection.backbones, selection.datasets.values(), progress)
        raise
    preflight.list_missing(lacking, progress)
    console, plan = Console(highlight=False), rough.plan
    console.print(plan_table(plan, lambda cell: False))
    _print_sizes(plan, console)
    for name in rough.left_out:
        console.print(f"left out: dataset {name!r}, whose size is not known before it is there", markup=False)
    trainings = len(plan.jobs)
    total = sum(1 for _ in plan.cells())
    console.print(f"cells: {total:,}: {trainings:,} trainings and {total - trainings:,} evaluations")
    _print_costs_of(rough, device, console)
    name, _ = execution.executor(selection.spec)
    console.print(f"executor: {name}; finished cells are not looked for before everything is in place")


def _print_sizes(plan: Plan, console: Console) -> None:
    console.print(f"pairs: {', '.join(map(_arrow, plan.pairs))}", soft_wrap=True)
    console.print(f"tasks: {len(plan.tasks)} (data set x protocol x shots x seed)")


def _print_costs_of(rough: RoughPlan, device: str, console: Console) -> None:
    by_method = seconds_by(rough.plan, rough.costs, lambda cell: cell.configuration.method)
    _print_cost(sum(by_method.values()), device, console)
    console.print(_table("data set", seconds_by(rough.plan, rough.costs, lambda cell: cell.task.dataset)))
    console.print(_table("backbone", seconds_by(rough.plan, rough.costs, lambda cell: cell.backbone)))
    console.print(_table("method", by_method))


def _print_cost(total: float, device: str, console: Console) -> None:
    """``total``: in seconds."""
    speed = SPEEDS["cpu" if device == "cpu" else "cuda"]
    unit, like = ("core", "one core here") if device == "cpu" else ("GPU", "an H100 in half precision")
    console.print(
        f"cost: about {total / 3600:,.0f} {unit}-hours ({hours(total / 16)} on 16), by counting operations, at "
        f"{speed.rate / 1e12:g} TFLOP/s and {1000 * speed.launch:g} ms a step and tower, as {like}; "
        "expect it within a factor of two, without decoding",
        soft_wrap=True,
    )


def _table(what: str, seconds: Mapping[str, float]) -> Table:
    table, total = Table(), sum(seconds.values())
    table.add_column(what, overflow="fold")
    table.add_column("time", justify="right")
    table.add_column("share", justify="right")
    for name, value in seconds.items():
        table.add_row(name, hours(value), f"{100 * value / total:.0f} %")
    return table


def _arrow(pair: tuple[str, str]) -> str:
    return f"{pair[0]} \N{RIGHTWARDS ARROW} {pair[1]}"
