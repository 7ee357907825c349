"""Computes everything in this process, without isolation: for debugging and for tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmark.experiment.executor import Chunk, Executor, Finished, Settings, cells_of
from benchmark.experiment.plan import Job
from benchmark.experiment.worker import Context, Worker


class InProcess(Executor):
    """One job per call of ``poll``. A cell that hangs or ends the process takes the run with it; there is no time limit."""

    name = "in-process"

    def __init__(self, context: Context, settings: Settings, config: Any = None) -> None:
        super().__init__(context, settings, config)
        self._worker: Worker | None = None
        self._queue: list[Job] = []

    def submit(self, chunks: Sequence[Chunk]) -> None:
        self._queue += [job for chunk in chunks for job in chunk]

    def poll(self, timeout: float) -> list[Finished]:
        if self._worker is None:
            self._worker = Worker(self.context)
        job, finished = self._queue.pop(0), list[Finished]()
        cells = cells_of((job,))

        def report(event: str, key: str, status: str, reason: str) -> None:
            if event == "end":
                finished.append(Finished(cells[key], status, reason))

        self._worker.run(job, report)
        return finished

    @property
    def unfinished(self) -> bool:
        return bool(self._queue)

    def cancel(self) -> None:
        self._queue.clear()
