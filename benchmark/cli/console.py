"""Tables in the terminal: the plan, the summary of a run, an analysis, the available plugins."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmark.data.dataset import Dataset, Splits
from benchmark.experiment.plan import DEFAULT, Cell, Plan
from benchmark.method.base import Method
from benchmark.method.registry import Registry

if TYPE_CHECKING:  # the report brings pandas, SciPy and matplotlib
    import pandas as pd

    from benchmark.experiment.estimate import RunTime
    from benchmark.report.model import Answer, MethodRow, Scope


def progress_console() -> Console:
    """Standard error, for everything that is not a command's result."""
    return Console(stderr=True, highlight=False)


def frame_table(title: str, frame: pd.DataFrame) -> Table:
    """A data frame; its index holds texts, its columns numbers."""
    table = Table(title=title, title_justify="left", title_style="")
    for name in frame.index.names:
        table.add_column(escape(str(name)), overflow="fold")
    for name in frame.columns:
        table.add_column(escape(str(name)), justify="right")
    for keys, row in frame.iterrows():
        texts = keys if isinstance(keys, tuple) else (keys,)
        table.add_row(*(escape(str(text)) for text in texts), *(_number(float(value), "g") for value in row))
    return table


SCREEN = 24
"""Rows of methods that a table may have if it is to fit on one screen."""


def summary_table(rows: Sequence[MethodRow], scope: Scope, *, short: bool = False) -> Table:
    """The headline: accuracies in per cent, means over data sets and seeds. It fits into 80 columns, and, with the best and
    worst methods of every upgrade only (``short``), on one screen."""
    what = "harmonic mean of base and new accuracy, %" if scope.parts else "accuracy of all classes, %"
    title = f"{what}; lift = reuse - zero-shot on the new backbone"
    table = Table(title=title, title_justify="left", title_style="", pad_edge=False)
    table.add_column("pair and method", overflow="fold", min_width=23 if any(row.bound for row in rows) else None)
    for name in ("old", "reuse", "retrain", "lift"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", overflow="fold")
    pairs = list(dict.fromkeys(row.pair for row in rows))
    for pair in pairs:
        own = [row for row in rows if row.pair == pair]
        shown = [row for row in own if not row.bound]
        table.add_section()
        table.add_row(pair, style="bold")
        if bound := len(own) - len(shown):
            table.add_row(f"  (and {bound} on base only)", style="dim")
        top, left_out, bottom = _ends(shown, max(4, SCREEN // len(pairs)) if short else len(shown))
        for row in top:
            table.add_row(*_summary_cells(row))
        if left_out:
            table.add_row(f"  ({len(left_out)} more)", style="dim")
        for row in bottom:
            table.add_row(*_summary_cells(row))
    return table


def _ends(rows: Sequence[MethodRow], count: int) -> tuple[Sequence[MethodRow], Sequence[MethodRow], Sequence[MethodRow]]:
    """The baseline and the best, those in between, and a few of the worst that have a value."""
    if len(rows) <= count + 1:
        return rows, (), ()
    worst = [row for row in rows if math.isfinite(row.reuse.main)][-max(1, count // 3) :]
    first = rows[: count - len(worst)]
    return first, [row for row in rows[len(first) :] if row not in worst], worst


def _summary_cells(row: MethodRow) -> tuple[str, ...]:
    name = row.method if row.config == DEFAULT else f"{row.method} ({row.config})"
    accuracies = [_number(value) for value in (row.old.main, row.reuse.main, row.retrain)]
    lift = _number(row.lift.mean, "+.1f") + (f" ± {row.lift.half:.1f}" if row.lift.known else "")
    return f"  {name}", *accuracies, lift, "no module" if row.baseline else row.verdict


def print_answers(found: Sequence[Answer], console: Console) -> None:
    """What to do at every upgrade, in words."""
    for item in found:
        text = f"{item.pair}: {item.decision}. {item.sentence} {item.repair}".rstrip()
        console.print(text, markup=False, highlight=False)


def _number(value: float, form: str = ".1f") -> str:
    return format(value, form) if math.isfinite(value) else "-"


def plan_table(plan: Plan, is_final: Callable[[Cell], bool]) -> Table:
    """Cells by method: how many to train and to evaluate, and how many are done (``is_final``)."""
    table = Table(title="Plan", title_justify="left", title_style="")
    for name in ("method", "config", "train", "evaluate", "done", "to do"):
        table.add_column(name, justify="left" if name in ("method", "config") else "right", overflow="fold")
    trainings: Counter[tuple[str, str]] = Counter()
    finished, total = trainings.copy(), trainings.copy()
    for cell in plan.cells():
        key = (cell.configuration.method, cell.configuration.label)
        total[key] += 1
        trainings[key] += cell.kind == "train"
        finished[key] += is_final(cell)
    for configuration in plan.configurations:
        key = (configuration.method, configuration.label)
        counts = (trainings[key], total[key] - trainings[key], finished[key], total[key] - finished[key])
        table.add_row(*key, *map(str, counts))
    return table


def time_table(times: RunTime, workers: int, device: str) -> Table:
    """The estimated time by method, in hours of one worker, and that of the whole run."""
    unit = "GPU" if device.startswith("cuda") else "core"
    times_text = f"about {hours(times.total)} of one {unit}, {hours(times.total / workers)} on {workers}"
    title = f"{times_text}: estimated from a few steps per method"
    table = Table(title=title, title_justify="left", title_style="")
    table.add_column("work", overflow="fold")
    table.add_column(f"{unit} time", justify="right")
    for name, seconds in sorted(times.methods.items(), key=lambda item: -item[1]):
        table.add_row(name, hours(seconds))
    table.add_row("image features, shared", hours(times.features))
    for name, reason in times.failed.items():
        table.add_row(name, f"could not be tried: {reason}")
    return table


def hours(seconds: float) -> str:
    """A duration in the unit that suits it."""
    return (
        f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
    )


def methods_table(plugins: Registry[Method]) -> Table:
    """The available methods."""
    table = Table(title="Methods", title_justify="left", title_style="")
    for column in ("name", "tunes", "depth", "what it learns", "paper"):
        table.add_column(column, overflow="fold")
    for name, plugin in sorted(plugins.plugins.items()):
        info = plugin.cls.info
        table.add_row(name, ", ".join(info.tunes) or "-", info.depth, info.summary, f"{info.venue} {info.year or ''}")
    return table


def datasets_table(plugins: Registry[Dataset]) -> Table:
    """The available data sets."""
    table = Table(title="Data sets", title_justify="left", title_style="")
    for column in ("name", "title", "shots", "shift of", "licence"):
        table.add_column(column, overflow="fold")
    for name, data in sorted(plugins.plugins.items()):
        cls = data.cls
        table.add_row(name, cls.title, "-" if cls.shift_of else str(cls.shots), cls.shift_of or "-", cls.licence)
    return table


def counts_table(dataset: Dataset, splits: Splits, by_class: Mapping[str, tuple[int, ...]]) -> Table:
    """Images per part, in all and for a class: fewest, most, and the classes with the fewest."""
    table = Table(
        title=f"{dataset.title or dataset.name}: {len(splits.classes)} classes", title_justify="left", title_style=""
    )
    for column in ("part", "images", "per class", "fewest in"):
        table.add_column(column, overflow="fold")
    for place, part in enumerate(("train", "val", "test")):
        numbers = {name: count[place] for name, count in by_class.items()}
        if not any(numbers.values()):
            continue
        low, high = min(numbers.values()), max(numbers.values())
        fewest = [name for name, count in numbers.items() if count == low]
        shown = ", ".join(fewest[:3]) + (", ..." if len(fewest) > 3 else "") if low < high else ""
        table.add_row(part, f"{sum(numbers.values()):,}", f"{low}" if low == high else f"{low} to {high}", escape(shown))
    return table
