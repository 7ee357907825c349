"""Long-lived worker processes on this machine that share a queue of chunks.

If a worker dies, only the cell that it was computing is lost; another worker takes its place.
"""

from __future__ import annotations

import gc
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from pydantic import Field

from benchmark.config.errors import UserError
from benchmark.config.schema import Strict
from benchmark.data.task import TaskId
from benchmark.experiment.devices import release_memory
from benchmark.experiment.executor import Chunk, Executor, Finished, Settings, cells_of, give_up
from benchmark.experiment.processes import follow_the_driver, process_maker
from benchmark.experiment.store import Store
from benchmark.experiment.worker import Context, Worker, worker_contexts


@dataclass
class _Slot:
    """One worker process and what it is doing."""

    context: Context
    process: BaseProcess
    pipe: Connection
    chunk: Chunk = ()
    task: TaskId | None = None
    """The last one; its images and features are in the worker's memory."""
    current: str | None = None
    since: float = field(default_factory=time.monotonic)
    failed_starts: int = 0


class LocalPool(Executor):
    """One worker per core, or per GPU."""

    name = "local"

    class Config(Strict):
        """What ``executor:`` may say in a YAML."""

        workers_per_gpu: int = Field(default=1, ge=1, le=64)
        """Processes that share a GPU, where one does not keep it busy."""

    def __init__(self, context: Context, settings: Settings, config: Config | None = None) -> None:
        super().__init__(context, settings, config)
        self._queue: list[Chunk] = []
        self._slots: list[_Slot] = []
        self._finished: list[Finished] = []

    def submit(self, chunks: Sequence[Chunk]) -> None:
        self._queue += chunks
        if not self._slots:
            contexts = worker_contexts(self.context, self.settings.workers, self.config.workers_per_gpu)
            self._slots = [_start(context) for context in contexts[: max(1, len(self._queue))]]
        for slot in self._slots:
            if not slot.chunk:
                self._feed(slot)

    def poll(self, timeout: float) -> list[Finished]:
        busy = [slot for slot in self._slots if slot.chunk]
        ready = wait([s.pipe for s in busy] + [s.process.sentinel for s in busy], timeout=timeout)
        limit = self.settings.cell_timeout
        for slot in busy:
            if slot.pipe in ready or slot.process.sentinel in ready:
                self._listen(slot)
            elif limit and slot.current and time.monotonic() - slot.since > limit:
                slot.process.kill()
                slot.process.join()
                self._replace(slot, "timeout", f"longer than {limit:.0f} s")
        finished, self._finished = self._finished, []
        return finished

    @property
    def current(self) -> list[str]:
        """Keys of the cells that are being computed."""
        return [slot.current for slot in self._slots if slot.current]

    @property
    def unfinished(self) -> bool:
        return any(slot.chunk for slot in self._slots) or bool(self._finished)

    def cancel(self) -> None:
        for slot in self._slots:
            slot.process.kill()
            slot.process.join()
            slot.pipe.close()
        self._slots, self._queue = [], []

    def _feed(self, slot: _Slot) -> None:
        """Give a worker its next chunk: of its last task, else of one of the first seed that no other worker has, else the
        first."""
        last = slot.task
        others = {other.task for other in self._slots if other is not slot and other.chunk}
        seed = _task(self._queue[0]).seed if self._queue else None
        known = (i for i, chunk in enumerate(self._queue) if _task(chunk) == last)
        fresh = (i for i, chunk in enumerate(self._queue) if _task(chunk).seed == seed and _task(chunk) not in others)
        slot.chunk, slot.current = (self._queue.pop(next(chain(known, fresh), 0)) if self._queue else ()), None
        if slot.chunk:
            slot.task = _task(slot.chunk)
            slot.pipe.send(slot.chunk)

    def _listen(self, slot: _Slot) -> None:
        """Take one message of a worker, or replace it if it is dead."""
        try:
            event, key, status, reason = slot.pipe.recv()
        except (EOFError, OSError):
            slot.process.join()
            self._replace(slot, "killed", f"the worker died with {_exit(slot.process.exitcode)}")
            return
        slot.failed_starts = 0
        slot.since = time.monotonic()
        if event == "start":
            slot.current = key
        elif event == "error":
            raise UserError(reason)
        elif event == "end":
            slot.current = None
            self._finished.append(Finished(cells_of(slot.chunk)[key], status, reason))
        else:
            self._feed(slot)

    def _replace(self, slot: _Slot, status: str, reason: str) -> None:
        """Record the cell that a dead worker was computing, put the rest of its chunk back and start a new worker."""
        lost = slot.chunk
        if slot.current is None:
            slot.failed_starts += 1
            if slot.failed_starts > 2:
                raise UserError(f"workers die before they take any work: {reason}", fix="run with --workers 0 to see why")
        else:
            dead = cells_of(lost)[slot.current]
            lost, ended = give_up(Store(self.context.store), lost, dead, status, reason)
            self._finished += ended
        if lost:
            self._queue.insert(0, lost)
        slot.pipe.close()
        new = _start(slot.context)
        slot.process, slot.pipe = new.process, new.pipe
        self._feed(slot)


def _task(chunk: Chunk) -> TaskId:
    return chunk[0].train.task


def _start(context: Context) -> _Slot:
    processes = process_maker(gpu=context.device != "cpu")
    ours, theirs = processes.Pipe()
    process = processes.Process(target=_worker_main, args=(theirs, context), daemon=True)
    process.start()
    theirs.close()
    return _Slot(context, process, ours)


def _exit(code: int | None) -> str:
    if code is not None and code < 0:
        try:
            return f"signal {signal.Signals(-code).name}"
        except ValueError:
            return f"signal {-code}"
    return f"exit status {code}"


def _worker_main(pipe: Connection, context: Context) -> None:
    """Body of a worker process: answer chunks until the pipe closes."""
    follow_the_driver()
    if context.visible is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = context.visible  # read when the first tensor goes to the GPU
    gc.freeze()  # what came with the fork stays; collections need not go through it after every job
    worker = Worker(context)
    while True:
        try:
            chunk: Chunk = pipe.recv()
        except EOFError:
            return
        try:
            for job in chunk:
                worker.run(job, lambda *message: pipe.send(message))
        except UserError as error:  # a record cannot be written, so no cell can be finished
            pipe.send(("error", "", "", str(error)))
            return
        release_memory()
        pipe.send(("idle", "", "", ""))
