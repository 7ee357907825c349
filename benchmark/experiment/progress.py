"""Progress of the matrix: a bar with the remaining time on a terminal, a line now and then in a log."""

from __future__ import annotations

import time
from types import TracebackType

from rich import progress as bars
from rich.console import Console

from benchmark.experiment.plan import Cell

LOG_SECONDS = 30.0


class Progress:
    """Counts finished cells and reports those that failed."""

    def __init__(self, total: int, console: Console) -> None:
        self.total, self.console, self.done = total, console, 0
        self.start = self.last = time.monotonic()
        columns = (
            bars.TextColumn("{task.description}"),
            bars.BarColumn(),
            bars.MofNCompleteColumn(),
            bars.TimeElapsedColumn(),
            bars.TextColumn("left"),
            bars.TimeRemainingColumn(elapsed_when_finished=False),
        )
        # No thread of its own: the pool forks this process, and a lock that another thread holds would stay locked in the
        # fork.
        self.bar = bars.Progress(*columns, console=console, disable=not console.is_terminal, auto_refresh=False)
        self.row = self.bar.add_task("cells", total=total)

    def __enter__(self) -> Progress:
        self.bar.start()
        self.console.print(f"{self.total} cells to do")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.bar.stop()

    def on_cell(self, cell: Cell, status: str, reason: str) -> None:
        """Note a finished cell."""
        self.done += 1
        self.bar.advance(self.row)
        self.bar.refresh()
        if status not in ("ok", "incompatible", "blocked"):
            task = f"{cell.task.dataset} {cell.task.protocol} seed {cell.task.seed}"
            self.console.print(
                f"{status}: {cell.kind} {cell.configuration.method} on {cell.backbone}, {task}: {reason}", markup=False
            )
        now = time.monotonic()
        if not self.console.is_terminal and (now - self.last > LOG_SECONDS or self.done == self.total):
            self.last = now
            left = (now - self.start) / self.done * (self.total - self.done)
            self.console.print(f"{self.done}/{self.total} cells, about {left / 60:.1f} min left")

    def tick(self) -> None:
        """Redraw the clock."""
        if self.console.is_terminal:
            self.bar.refresh()
