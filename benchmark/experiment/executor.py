"""The contract of an executor: it takes chunks of jobs, computes their cells somewhere and reports what has finished.

To add one, put a file with a subclass of ``Executor`` into ``benchmark/experiment/executors/``; ``--executor`` then takes
its name, which is the file's with hyphens. Finished cells are on disk before an executor reports them, so an interruption
of either side loses nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from benchmark.config.discovery import classes_in
from benchmark.config.errors import UserError, did_you_mean
from benchmark.config.schema import Strict
from benchmark.config.validation import check
from benchmark.experiment import executors
from benchmark.experiment.devices import find_device
from benchmark.experiment.plan import Cell, Job
from benchmark.experiment.store import Store
from benchmark.experiment.worker import Context

Chunk = tuple[Job, ...]
"""Jobs that one worker takes together; usually they share a backbone and a task, and so their features."""
OnCell = Callable[[Cell, str, str], None]
"""Called with (cell, status, reason) when a cell is finished."""
TICK = 1.0
"""Longest wait for finished cells, in seconds."""


@dataclass(frozen=True)
class Settings:
    """What the user chose about how cells are computed."""

    workers: int | None = None
    """Worker processes; None takes one per core, or per GPU."""
    cell_timeout: float | None = None
    """Seconds after which a cell is stopped."""


@dataclass(frozen=True)
class Finished:
    """A cell that has its final record for this run."""

    cell: Cell
    status: str
    reason: str


class Executor(ABC):
    """Computes chunks of jobs."""

    name: ClassVar[str]
    """What users type."""

    class Config(Strict):
        """What ``executor:`` may say in a YAML; nothing unless an executor says otherwise."""

    def __init__(self, context: Context, settings: Settings, config: Any = None) -> None:
        self.context, self.settings = context, settings
        self.config: Any = self.Config() if config is None else config
        self.seconds: Callable[[Job], float] = lambda job: 60.0
        """About how long a job takes; set by whoever knows better."""

    @classmethod
    def device(cls, requested: str, config: Any) -> str:
        """The device that cells are computed on, of the one that ``--device`` names.

        Raises:
            UserError: there is no such device.
        """
        return find_device(requested)

    @abstractmethod
    def submit(self, chunks: Sequence[Chunk]) -> None:
        """Take chunks, in the order in which they should be started. May be called again while others are computed."""

    @abstractmethod
    def poll(self, timeout: float) -> list[Finished]:
        """The cells that finished since the last call; waits up to ``timeout`` seconds for the first.

        Raises:
            UserError: nothing can be computed, and why.
        """

    @property
    @abstractmethod
    def unfinished(self) -> bool:
        """Whether some submitted cells are not reported yet."""

    @abstractmethod
    def cancel(self) -> None:
        """Stop whatever is running; finished cells are kept. Also called at the end."""

    def interrupted(self) -> str:
        """Called when the user presses Ctrl-C: stop, or let the work go on elsewhere; returns what to say about it."""
        self.cancel()
        return ""


def executor_class(name: str) -> type[Executor]:
    """The executor of a name.

    Raises:
        UserError: there is none.
    """
    known = {cls.name: cls for cls in classes_in(executors, Executor)}  # type: ignore[type-abstract]
    if name not in known:
        raise UserError(f"unknown executor {name!r}", fix=did_you_mean(name, known))
    return known[name]


def config_of(name: str, given: Mapping[str, Any]) -> Strict:
    """The settings of an executor, from what ``executor:`` says in a YAML; those of another executor do not count.

    Raises:
        UserError: there is no such executor, or a setting is not valid.
    """
    cls = executor_class(name)
    own = {key: value for key, value in given.items() if key != "name"} if given.get("name", name) == name else {}
    return check(cls.Config, own, where="executor")


def make_executor(name: str, context: Context, settings: Settings, config: Strict | None = None) -> Executor:
    """The executor of a name.

    Raises:
        UserError: there is none.
    """
    return executor_class(name)(context, settings, config)


def make_chunks(jobs: Sequence[Job], is_final: Callable[[Cell], bool], *, separate: bool = False) -> list[Chunk]:
    """Jobs with something left to do, grouped by backbone and task, in the order of the plan; or each by itself.
    ``is_final``: whether nothing is to be done about a cell."""
    grouped: dict[Any, list[Job]] = {}
    for number, job in enumerate(jobs):
        if not all(is_final(cell) for cell in (job.train, *job.evals)):
            grouped.setdefault(number if separate else (job.train.backbone, job.train.task), []).append(job)
    return [tuple(group) for group in grouped.values()]


def cells_of(chunk: Chunk) -> dict[str, Cell]:
    """The cells of a chunk by their keys."""
    return {cell.key: cell for job in chunk for cell in (job.train, *job.evals)}


def give_up(store: Store, chunk: Chunk, dead: Cell, status: str, reason: str) -> tuple[Chunk, list[Finished]]:
    """Write the records of a cell that cannot be computed and of the evaluations that depend on it.

    Returns:
        The chunk without them, and what is finished by that.
    """
    ended, kept = [Finished(dead, status, reason)], []
    for job in chunk:
        if job.train.key == dead.key:
            ended += [Finished(cell, "blocked", f"its module was not trained: {status}: {reason}") for cell in job.evals]
        else:
            kept.append(replace(job, evals=tuple(cell for cell in job.evals if cell.key != dead.key)))
    for end in ended:
        store.write(end.cell.key, end.cell.config, end.status, reason=end.reason)
    return tuple(kept), ended


def execute(executor: Executor, chunks: Sequence[Chunk], on_cell: OnCell, on_tick: Callable[[], None]) -> None:
    """Compute chunks to the end; ``on_tick`` is called about once a second.

    Raises:
        UserError: nothing can be computed, and why.
    """
    try:
        executor.submit(chunks)
        while executor.unfinished:
            for end in executor.poll(TICK):
                on_cell(end.cell, end.status, end.reason)
            on_tick()
    except KeyboardInterrupt as interrupt:
        raise KeyboardInterrupt(executor.interrupted()) from interrupt
    except BaseException:
        executor.cancel()
        raise
    executor.cancel()
