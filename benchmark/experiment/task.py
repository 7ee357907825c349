"""A task of a work order, computed on whatever machine it is started: ``python -m benchmark.experiment.task FOLDER NUMBER``.

SIGTERM, which comes before the end of the walltime and before a preemption, drops the cells that are being computed and ends
the task with ``AGAIN``: started again, it goes on. A cell during which the task was killed twice is given up, so that no
cell can hold up a task for ever.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmark.config.errors import UserError
from benchmark.config.files import write_atomically
from benchmark.config.validation import check
from benchmark.experiment.executor import Chunk, Finished, cells_of, give_up
from benchmark.experiment.executors.local import LocalPool
from benchmark.experiment.store import FINAL, Store
from benchmark.experiment.work_order import WorkOrder

AGAIN = 75
"""Exit status of a task that wants to be started again; EX_TEMPFAIL of sysexits.h."""
TRIES = 2
"""Deaths, or drops without any progress, after which a cell is given up."""


@dataclass
class State:
    """What a task leaves for its next start."""

    current: list[str] = field(default_factory=list)
    """Keys of the cells that were being computed; empty after an orderly end."""
    deaths: Counter[str] = field(default_factory=Counter)
    """How often the task was killed during a cell."""
    drops: Counter[str] = field(default_factory=Counter)
    """How often a cell was dropped by a SIGTERM although the task had done nothing else since its start."""

    @classmethod
    def read(cls, file: Path) -> State:
        try:
            content: dict[str, Any] = json.loads(file.read_text())
            return cls(content["current"], Counter(content["deaths"]), Counter(content["drops"]))
        except (OSError, ValueError, KeyError):
            return cls()

    def write(self, file: Path) -> None:
        write_atomically(file, json.dumps(vars(self)).encode())


class Task:
    """One start of a task."""

    def __init__(self, order: WorkOrder, number: int, log: str = "", workers: int | None = None) -> None:
        self.order, self.number = order, number
        context, settings, pool = order.context()
        self.context, self.settings = replace(context, log=log), replace(settings, workers=workers or settings.workers)
        self.pool = check(LocalPool.Config, pool, where=str(order.folder))
        self.store = Store(self.context.store)
        self.state = State.read(order.state(number))
        self.leaving = False

    def run(self) -> int:
        """Compute what is left; returns the exit status."""
        chunk = self._without_the_hopeless(self.order.chunk(self.number))
        pool = LocalPool(self.context, self.settings, self.pool)
        done, start = 0, time.time()
        try:
            pool.submit([(job,) for job in chunk if self._is_left((job,))])
            while pool.unfinished and not self.leaving:
                if self.state.current != pool.current:
                    self.state.current = pool.current
                    self._keep_state()
                ended = pool.poll(1.0)
                self._note(ended)
                done += len(ended)
            dropped = pool.current
        finally:
            pool.cancel()
        if self.leaving and not done:
            self.state.drops.update(key for key in dropped if not self._has_checkpoint_since(start, key))
        self.state.current = []
        self._keep_state()
        return AGAIN if self.leaving else 0

    def leave(self, *_: object) -> None:
        """What SIGTERM asks for."""
        self.leaving = True

    def _without_the_hopeless(self, chunk: Chunk) -> Chunk:
        """The chunk without the cells that are given up, whose records say so."""
        self.state.deaths.update(key for key in self.state.current if self.store.status(key) not in FINAL)
        self.state.current = []
        self._keep_state()
        killed = f"its task was killed {TRIES} times while it was computed"
        stopped = f"its task was stopped {TRIES} times, by the walltime or for others, before it was done"
        for counts, status, reason in ((self.state.deaths, "killed", killed), (self.state.drops, "timeout", stopped)):
            for key in [key for key, count in counts.items() if count >= TRIES]:
                dead = cells_of(chunk).get(key)
                if dead and self.store.status(key) not in FINAL:
                    chunk, ended = give_up(self.store, chunk, dead, status, reason)
                    self._note(ended)
        return chunk

    def _is_left(self, chunk: Chunk) -> bool:
        return any(self.store.status(key) not in FINAL for key in cells_of(chunk))

    def _has_checkpoint_since(self, start: float, key: str) -> bool:
        """Whether the next start goes on from further than this one did."""
        try:
            return self.store.checkpoint(key).stat().st_mtime > start
        except OSError:
            return False

    def _note(self, ended: Iterable[Finished]) -> None:
        """Tell the driver, and the log."""
        lines = [json.dumps([end.cell.key, end.status, end.reason]) + "\n" for end in ended]
        if lines:
            with self.order.finished(self.number).open("a") as handle:
                handle.writelines(lines)
            print("".join(lines), end="", flush=True)

    def _keep_state(self) -> None:
        self.state.write(self.order.state(self.number))


def main() -> int:
    """Run a task; returns 0, ``AGAIN``, or 1 if nothing can be computed."""
    parser = argparse.ArgumentParser(description="compute a task of a work order")
    parser.add_argument("folder", type=Path)
    parser.add_argument("number", type=int)
    parser.add_argument("--workers", type=int, default=None, help="of this task")
    parser.add_argument("--log", default="", help="where this task's output goes, for the records")
    options = parser.parse_args()
    order = WorkOrder(options.folder)
    try:
        task = Task(order, options.number, options.log, options.workers)
        signal.signal(signal.SIGTERM, task.leave)
        return task.run()
    except UserError as error:
        order.error(options.number).write_text(str(error))
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    raise SystemExit(main())
