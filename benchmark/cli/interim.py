"""Tables and report while a run goes on: as soon as all cells of a seed are finished."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType

from benchmark.config.errors import UserError
from benchmark.experiment.plan import Cell
from benchmark.experiment.processes import follow_the_driver, forks, process_maker
from benchmark.experiment.session import Session
from benchmark.experiment.store import FINAL

WORTH = 90.0
"""Seconds: if less is left of a run, its end is near enough."""
NICE = 5
"""How much the process that writes them yields to the workers."""


class Interim:
    """Counts the cells that are left of each seed. Writing is done by a fork, so that the workers are fed meanwhile; where
    there are no forks, nothing is written before the end."""

    def __init__(self, session: Session, page: Path | None, given: Sequence[str]) -> None:
        self.session, self.page, self.given = session, page, given
        self.enabled = forks(gpu=session.context.device != "cpu")
        cells = session.plan.cells()
        self.left = Counter(cell.task.seed for cell in cells if session.store.status(cell.key) not in FINAL)
        self.writer: BaseProcess | None = None

    def on_cell(self, cell: Cell, seconds_left: float) -> None:
        """Note a finished cell; the rest of the run takes about ``seconds_left``."""
        seed = cell.task.seed
        self.left[seed] -= 1
        if self.enabled and self.left[seed] == 0 and seconds_left > WORTH and not self._is_writing():
            self.writer = process_maker(gpu=False).Process(target=self._write)
            self.writer.start()

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

        session = of_seeds(self.session, [seed for seed in self.session.spec.seeds if not self.left[seed]])
        with suppress(UserError):  # the end of the run will say it again
            finish(session, self.page, self.given)


def of_seeds(session: Session, seeds: Sequence[int]) -> Session:
    """A session as if it had been asked for some of its seeds only."""
    plan = session.plan
    jobs = tuple(job for job in plan.jobs if job.train.task.seed in seeds)
    tasks = {name: task for name, task in plan.tasks.items() if name.seed in seeds}
    asked = ", ".join(map(str, session.spec.seeds))
    going_on = f"The run goes on: these are the results after seed {', '.join(map(str, seeds))} of {asked}."
    warning = " ".join(filter(None, (session.spec.warning, going_on)))
    spec = session.spec.model_copy(update={"seeds": tuple(seeds), "warning": warning})
    return replace(session, spec=spec, plan=replace(plan, jobs=jobs, tasks=tasks))
