"""Progress of the matrix: a bar with the remaining time on a terminal, a line now and then in a log."""

from __future__ import annotations

import time
from types import TracebackType

from rich import progress as bars
from rich.console import Console

from benchmark.experiment.costs import Remaining
from benchmark.experiment.plan import Cell

LOG_SECONDS = 30.0


class Progress:
    """Counts finished cells, says what is left, and reports those that failed."""

    def __init__(self, total: int, console: Console, remaining: Remaining) -> None:
        self.total, self.console, self.done, self.remaining = total, console, 0, remaining
        self.start = self.last = time.monotonic()
        columns = (
            bars.BarColumn(),
            bars.MofNCompleteColumn(),
            bars.TextColumn("cells"),
            bars.TimeElapsedColumn(),
            bars.TextColumn("{task.description}"),
        )
        # No thread of its own: the pool forks this process, and a lock that another thread holds would stay locked in the
        # fork.
        self.bar = bars.Progress(*columns, console=console, disable=not console.is_terminal, auto_refresh=False)
        self.row = self.bar.add_task("", total=total)

    def __enter__(self) -> Progress:
        self.bar.start()
        self.console.print(f"{self.total} cells to do")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.bar.stop()

    def on_cell(self, cell: Cell, status: str, reason: str) -> float:
        """Note a finished cell; returns the seconds that the rest will take, see ``left``."""
        self.done += 1
        self.remaining.finish(cell)
        left = self.left()
        what = f"{cell.kind} {cell.configuration.method} on {cell.backbone}, {cell.task.dataset} seed {cell.task.seed}"
        self.bar.update(self.row, advance=1, description=f"about {_minutes(left)} left; last: {what}")
        self.bar.refresh()
        if status not in ("ok", "incompatible", "blocked"):
            task = f"{cell.task.dataset} {cell.task.protocol} seed {cell.task.seed}"
            self.console.print(
                f"{status}: {cell.kind} {cell.configuration.method} on {cell.backbone}, {task}: {reason}", markup=False
            )
        now = time.monotonic()
        if not self.console.is_terminal and (now - self.last > LOG_SECONDS or self.done == self.total):
            self.last = now
            text = f"{self.done}/{self.total} cells, about {_minutes(left)} left; last: {what}"
            self.console.print(text, markup=False, soft_wrap=True)
        return left

    def left(self) -> float:
        """Seconds that the rest will take if as many workers go on with it as there were."""
        elapsed, taken = time.monotonic() - self.start, self.remaining.taken
        return self.remaining.seconds * (elapsed / taken if taken else 1.0)

    def tick(self) -> None:
        """Redraw the clock."""
        if self.console.is_terminal:
            self.bar.refresh()


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
