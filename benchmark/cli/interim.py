"""Tables and report while a run goes on: of the first task as soon as all its cells are finished, then of every seed."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType

from benchmark.config.errors import UserError
from benchmark.data.task import TaskId
from benchmark.experiment.plan import Cell
from benchmark.experiment.processes import follow_the_driver, forks, process_maker
from benchmark.experiment.session import Session

WORTH = 90.0
"""Seconds: if less is left of a run, its end is near enough."""
NICE = 5
"""How much the process that writes them yields to the workers."""


class Interim:
    """Counts the cells that are left of each task. Writing is done by a fork, so that the workers are fed meanwhile; where
    there are no forks, nothing is written before the end."""

    def __init__(self, session: Session, page: Path | None, given: Sequence[str]) -> None:
        self.session, self.page, self.given = session, page, given
        self.enabled = forks(gpu=session.context.device != "cpu")
        self.left: Counter[TaskId] = Counter()
        self.written: frozenset[TaskId] = frozenset()
        """The tasks that the last tables are about."""
        self.writer: BaseProcess | None = None

    def on_start(self, cells: Collection[Cell]) -> None:
        """Take note of the cells that are left."""
        self.left = Counter(dict.fromkeys(self.session.plan.tasks, 0))
        self.left.update(cell.task for cell in cells)
        self.written = self.presentable()  # those were shown by the run that computed them

    def on_cell(self, cell: Cell, seconds_left: float) -> None:
        """Note a finished cell; the rest of the run takes about ``seconds_left``."""
        self.left[cell.task] -= 1
        if not self.enabled or self.left[cell.task] or seconds_left < WORTH or self._is_writing():
            return
        ready = self.presentable()
        if ready != self.written:
            self.written = ready
            self.writer = process_maker(gpu=False).Process(target=self._write)
            self.writer.start()

    def presentable(self) -> frozenset[TaskId]:
        """The tasks of all finished seeds; before there is one, the first finished task, if any."""
        finished = [task for task, left in self.left.items() if not left]
        unfinished_seeds = {task.seed for task, left in self.left.items() if left}
        whole = frozenset(task for task in finished if task.seed not in unfinished_seeds)
        return whole or self.written or frozenset(finished[:1])

    def __enter__(self) -> Interim:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Wait for what is being written, or stop it if the run failed."""
        if self.writer is not None:
            if error is not None:
                self.writer.kill()
            self.writer.join()

    def _is_writing(self) -> bool:
        return self.writer is not None and self.writer.is_alive()

    def _write(self) -> None:
        follow_the_driver()
        os.nice(NICE)
        from benchmark.cli.finish import finish

        with suppress(UserError):  # the end of the run will say it again
            finish(of_tasks(self.session, self.written), self.page, self.given, files=False)


def of_tasks(session: Session, chosen: Collection[TaskId]) -> Session:
    """A session as if it had been asked for some of its tasks only."""
    plan = session.plan
    jobs = tuple(job for job in plan.jobs if job.train.task in chosen)
    tasks = {name: task for name, task in plan.tasks.items() if name in chosen}
    seeds = tuple(seed for seed in session.spec.seeds if any(task.seed == seed for task in chosen))
    datasets = list(dict.fromkeys(task.dataset for task in tasks))
    whole = len(tasks) == sum(task.seed in seeds for task in plan.tasks)
    part = "" if whole else f" of {', '.join(datasets)}, {', '.join(dict.fromkeys(task.protocol for task in tasks))}"
    asked = ", ".join(map(str, session.spec.seeds))
    going_on = f"The run goes on: these are the results{part} after seed {', '.join(map(str, seeds))} of {asked}."
    warning = " ".join(filter(None, (session.spec.warning, going_on)))
    spec = session.spec.model_copy(update={"seeds": seeds, "warning": warning})
    return replace(session, spec=spec, plan=replace(plan, jobs=jobs, tasks=tasks))
