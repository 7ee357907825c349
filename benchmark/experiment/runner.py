"""The matrix runner: long-lived worker processes that share a queue of jobs.

A worker that dies costs only the cell it was at; another takes its place. Whatever is finished is on disk before the
driver hears of it, so that an interruption of either side loses nothing.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from benchmark.config.errors import UserError
from benchmark.data.task import TaskId
from benchmark.experiment.devices import give_back
from benchmark.experiment.plan import Cell, Job
from benchmark.experiment.store import FINAL, Store
from benchmark.experiment.worker import Context, Worker

Bundle = tuple[Job, ...]
"""Jobs that share a backbone and a task, and so their features: one worker takes them together."""
OnCell = Callable[[Cell, str, str], None]
"""Called with (cell, status, reason) when a cell is finished."""
TICK = 1.0
"""Seconds between two looks at the clock."""


def bundles(jobs: Sequence[Job], store: Store, *, apart: bool = False) -> list[Bundle]:
    """Jobs with something left to do, grouped by backbone and task, in the order of the plan; or each ``apart``."""
    grouped: dict[Any, list[Job]] = {}
    for number, job in enumerate(jobs):
        if any(store.status(cell.key) not in FINAL for cell in (job.train, *job.evals)):
            grouped.setdefault(number if apart else (job.train.backbone, job.train.task), []).append(job)
    return [tuple(group) for group in grouped.values()]


def run_here(todo: Sequence[Bundle], context: Context, on_cell: OnCell) -> None:
    """Run everything in this process, without isolation: for debugging and for tests."""
    worker = Worker(context)
    for bundle in todo:
        cells = _cells(bundle)
        for job in bundle:
            worker.run(job, lambda event, key, status, why: on_cell(cells[key], status, why) if event == "end" else None)  # noqa: B023


def _cells(bundle: Bundle) -> dict[str, Cell]:
    return {cell.key: cell for job in bundle for cell in (job.train, *job.evals)}


@dataclass
class _Slot:
    """One worker process and what it is doing."""

    context: Context
    process: BaseProcess
    pipe: Connection
    bundle: Bundle = ()
    task: TaskId | None = None
    """The last one; its images and features are at hand."""
    current: str | None = None
    since: float = field(default_factory=time.monotonic)
    failed_starts: int = 0


def run_pool(
    todo: Sequence[Bundle],
    contexts: Sequence[Context],
    on_cell: OnCell,
    *,
    cell_timeout: float | None = None,
    on_tick: Callable[[], None] = lambda: None,
) -> None:
    """Run the bundles on one worker per context; ``on_tick`` is called about once a second.

    Raises:
        UserError: workers die before they can take any work.
    """
    queue = list(todo)
    slots = [_start(context) for context in contexts[: max(1, len(queue))]]
    try:
        for slot in slots:
            _feed(slot, queue, slots)
        while any(slot.bundle for slot in slots):
            busy = [slot for slot in slots if slot.bundle]
            ready = wait([s.pipe for s in busy] + [s.process.sentinel for s in busy], timeout=TICK)
            on_tick()
            for slot in busy:
                if slot.pipe in ready or slot.process.sentinel in ready:
                    _listen(slot, queue, slots, on_cell)
                elif cell_timeout and slot.current and time.monotonic() - slot.since > cell_timeout:
                    slot.process.kill()
                    slot.process.join()
                    reason = f"longer than {cell_timeout:.0f} s"
                    _replace(slot, queue, slots, on_cell, "timeout", reason)
    finally:
        for slot in slots:
            slot.process.kill()
            slot.process.join()
            slot.pipe.close()


def _processes(context: Context) -> Any:
    """How worker processes are made. On CPU they are forks of the driver, which has one thread (see ``cli`` and
    ``progress``): libraries lie in memory once and are not loaded again. A process that will use a GPU starts anew."""
    forks = context.device == "cpu" and sys.platform.startswith("linux")
    return multiprocessing.get_context("fork" if forks else "spawn")


def _start(context: Context) -> _Slot:
    processes = _processes(context)
    ours, theirs = processes.Pipe()
    process = processes.Process(target=_worker_main, args=(theirs, context), daemon=True)
    process.start()
    theirs.close()
    return _Slot(context, process, ours)


def _feed(slot: _Slot, queue: list[Bundle], slots: Sequence[_Slot]) -> None:
    """Give a worker its next bundle: of the task that it knows, else of one that no other worker is at, else the first."""
    last = slot.task
    others = {other.task for other in slots if other is not slot and other.bundle}
    known = (i for i, bundle in enumerate(queue) if _task(bundle) == last)
    fresh = (i for i, bundle in enumerate(queue) if _task(bundle) not in others)
    slot.bundle, slot.current = (queue.pop(next(chain(known, fresh), 0)) if queue else ()), None
    if slot.bundle:
        slot.task = _task(slot.bundle)
        slot.pipe.send(slot.bundle)


def _task(bundle: Bundle) -> TaskId:
    return bundle[0].train.task


def _listen(slot: _Slot, queue: list[Bundle], slots: Sequence[_Slot], on_cell: OnCell) -> None:
    """Take one message of a worker, or bury it."""
    try:
        event, key, status, reason = slot.pipe.recv()
    except (EOFError, OSError):
        slot.process.join()
        code = slot.process.exitcode
        _replace(slot, queue, slots, on_cell, "killed", f"the worker died with {_exit(code)}")
        return
    slot.failed_starts = 0
    slot.since = time.monotonic()
    if event == "start":
        slot.current = key
    elif event == "end":
        slot.current = None
        on_cell(_cells(slot.bundle)[key], status, reason)
    else:
        _feed(slot, queue, slots)


def _replace(slot: _Slot, queue: list[Bundle], slots: Sequence[_Slot], on_cell: OnCell, status: str, reason: str) -> None:
    """Record the cell that a dead worker was at, give the rest of its bundle back and start a new worker."""
    lost = slot.bundle
    if slot.current is None:
        slot.failed_starts += 1
        if slot.failed_starts > 2:
            raise UserError(f"workers die before they take any work: {reason}", fix="run with --workers 0 to see why")
    else:
        lost = _bury(slot, lost, _cells(lost)[slot.current], on_cell, status, reason)
    if lost:
        queue.insert(0, lost)
    slot.pipe.close()
    fresh = _start(slot.context)
    slot.process, slot.pipe = fresh.process, fresh.pipe
    _feed(slot, queue, slots)


def _bury(slot: _Slot, bundle: Bundle, dead: Cell, on_cell: OnCell, status: str, reason: str) -> Bundle:
    """Write the record of a cell that killed its worker, and those of the evaluations that depended on it; returns the
    bundle without them."""
    store = Store(slot.context.store)

    def note(cell: Cell, status: str, reason: str) -> None:
        store.write(cell.key, cell.config, status, reason=reason)
        on_cell(cell, status, reason)

    note(dead, status, reason)
    kept = []
    for job in bundle:
        if job.train.key == dead.key:
            for cell in job.evals:
                note(cell, "blocked", f"its module was not trained: {status}: {reason}")
        else:
            kept.append(replace(job, evals=tuple(cell for cell in job.evals if cell.key != dead.key)))
    return tuple(kept)


def _exit(code: int | None) -> str:
    if code is not None and code < 0:
        try:
            return f"signal {signal.Signals(-code).name}"
        except ValueError:
            return f"signal {-code}"
    return f"exit status {code}"


def _worker_main(pipe: Connection, context: Context) -> None:
    """Body of a worker process: answer bundles until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's affair
    _die_with_parent()
    worker = Worker(context)
    while True:
        try:
            bundle: Bundle = pipe.recv()
        except EOFError:
            return
        for job in bundle:
            worker.run(job, lambda *message: pipe.send(message))
        give_back()
        pipe.send(("idle", "", "", ""))


def _die_with_parent() -> None:
    """Ask Linux to kill this process when the driver dies, so that a killed run leaves no worker behind."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() == 1:
            os._exit(1)
