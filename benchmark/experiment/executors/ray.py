"""Ray: long-lived actors on any Ray cluster, fed by the driver as the local pool feeds its processes.

Nodes share the file system with the driver. Jobs and contexts travel as JSON. A lost node costs the job that each of its
actors was at: what that had finished is on disk, and the rest is computed by another actor.
"""

from __future__ import annotations

import importlib.util
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import Field

from benchmark.config.errors import UserError, clean
from benchmark.config.paths import PACKAGE
from benchmark.config.schema import Strict
from benchmark.experiment.executor import Chunk, Executor, Finished, Settings, cells_of, give_up
from benchmark.experiment.pieces import longest_first
from benchmark.experiment.plan import Job
from benchmark.experiment.store import FINAL, Store
from benchmark.experiment.work_order import context_from_json, context_to_json, job_from_json, job_to_json
from benchmark.experiment.worker import Context, Worker

TRIES = 2
"""Deaths of actors at the same cell after which it is given up: the first may have been the node's."""


class Computer:
    """What runs in an actor."""

    def __init__(self, context: Mapping[str, Any]) -> None:
        self.worker = Worker(context_from_json(context))

    def ready(self) -> None:
        """Return as soon as it can compute."""

    def run(self, job: Mapping[str, Any]) -> list[tuple[str, str, str]]:
        """Run a job; returns (key, status, reason) of the cells that it finished.

        Raises:
            UserError: nothing can be computed, and why.
        """
        finished: list[tuple[str, str, str]] = []

        def report(event: str, key: str, status: str, reason: str) -> None:
            if event == "end":
                finished.append((key, status, reason))

        self.worker.run(job_from_json(job), report)
        return finished


@dataclass
class _Actor:
    """An actor, and the chunk that it is at; its first job is being computed."""

    handle: Any
    chunk: Chunk = ()
    result: Any = None
    since: float = 0.0
    ready: Any = None
    """Until it has started, which takes seconds that are no cell's."""


class Ray(Executor):
    """As many actors as the cluster has room for."""

    name = "ray"

    class Config(Strict):
        """What ``executor:`` may say in a YAML."""

        address: str | None = None
        """Of the cluster, such as auto or ray://head:10001; a cluster on this machine alone unless given."""
        cpus: float = Field(default=1.0, gt=0)
        """Of an actor."""
        gpus: float = Field(default=0.0, ge=0)
        """Of an actor; a fraction lets several share one."""
        memory_gb: float | None = Field(default=None, gt=0)
        """Of an actor."""

    def __init__(self, context: Context, settings: Settings, config: Any = None) -> None:
        super().__init__(context, settings, config)
        self.store = Store(context.store)
        self._queue: list[Chunk] = []
        self._actors: list[_Actor] = []
        self._finished: list[Finished] = []
        self._wanted: set[str] = set()
        """Keys of the cells that are not reported yet."""
        self._deaths: dict[str, int] = {}
        """By keys of cells."""

    @classmethod
    def device(cls, requested: str, config: Any) -> str:
        """A GPU if actors ask for one; this machine need not have any."""
        if importlib.util.find_spec("ray") is None:
            raise UserError("--executor ray: Ray is not installed", fix="pip install 'clip-compat-bench[ray]'")
        return ("cuda" if config.gpus else "cpu") if requested == "auto" else requested

    def submit(self, chunks: Sequence[Chunk]) -> None:
        self._queue += longest_first(chunks, self.seconds)
        self._wanted |= {key for chunk in chunks for key in cells_of(chunk) if self.store.status(key) not in FINAL}
        if not self._actors:
            self._connect()
            self._actors = [self._start() for _ in range(min(self._room(), len(self._queue)))]
        for actor in self._actors:
            if not actor.chunk:
                self._feed(actor)

    def poll(self, timeout: float) -> list[Finished]:
        import ray

        busy = {actor.result: actor for actor in self._actors if actor.chunk}
        ready, _ = ray.wait(list(busy), num_returns=1, timeout=timeout) if busy else ([], [])
        for result in ready:
            self._listen(busy[result])
        for actor in busy.values():
            if actor.result not in ready and self._is_late(actor):
                ray.kill(actor.handle)
                self._replace(actor, "timeout", f"longer than {self.settings.cell_timeout:.0f} s", 1)
        finished = [end for end in self._finished if end.cell.key in self._wanted]
        self._wanted -= {end.cell.key for end in finished}
        self._finished = []
        return finished

    @property
    def unfinished(self) -> bool:
        return any(actor.chunk for actor in self._actors) or bool(self._finished)

    def cancel(self) -> None:
        if self._actors:
            import ray

            for actor in self._actors:
                ray.kill(actor.handle)
            ray.shutdown()
        self._actors, self._queue = [], []

    def _is_late(self, actor: _Actor) -> bool:
        """Whether an actor has taken longer for its job than the cells of the job may together."""
        import ray

        limit = self.settings.cell_timeout
        if actor.ready is not None:
            actor.since = time.monotonic()
            if ray.wait([actor.ready], timeout=0)[0]:
                actor.ready = None
        return limit is not None and time.monotonic() - actor.since > limit * len(cells_of(actor.chunk[:1]))

    def _connect(self) -> None:
        import ray

        environment = {"env_vars": {"PYTHONPATH": str(PACKAGE.parent), "OMP_NUM_THREADS": "1"}}
        given = {"address": self.config.address} if self.config.address else {"include_dashboard": False}
        try:
            ray.init(**given, log_to_driver=False, logging_level=logging.ERROR, runtime_env=environment)
        except (ConnectionError, RuntimeError, ValueError) as error:
            where = f"executor: address: {self.config.address}"
            raise UserError(clean(error), where=where, fix="name a running cluster") from None

    def _room(self) -> int:
        """How many actors the cluster has room for, or as many as the user asked for."""
        import ray

        if self.settings.workers:
            return self.settings.workers
        there = ray.cluster_resources()
        room = int(there.get("CPU", 0) / self.config.cpus)
        if self.config.gpus:
            room = min(room, int(there.get("GPU", 0) / self.config.gpus))
        if room < 1:
            gpus = f" and {self.config.gpus:g} GPUs" if self.config.gpus else ""
            what = f"the cluster has no room for an actor with {self.config.cpus:g} CPUs{gpus}"
            raise UserError(what, where="executor", fix="lower cpus or gpus")
        return room

    def _start(self) -> _Actor:
        import ray

        asked: dict[str, Any] = {"num_cpus": self.config.cpus, "num_gpus": self.config.gpus}
        if self.config.memory_gb:
            asked["memory"] = int(self.config.memory_gb * 2**30)
        device = "cuda:0" if self.context.device == "cuda" else self.context.device  # Ray shows each actor its own
        handle: Any = ray.remote(Computer).options(**asked).remote(context_to_json(replace(self.context, device=device)))
        return _Actor(handle, ready=handle.ready.remote())

    def _feed(self, actor: _Actor) -> None:
        """Give an actor its next job: of its chunk, else the first of the next chunk."""
        if not actor.chunk and self._queue:
            actor.chunk = self._queue.pop(0)
        if actor.chunk:
            actor.result, actor.since = actor.handle.run.remote(job_to_json(actor.chunk[0])), time.monotonic()

    def _listen(self, actor: _Actor) -> None:
        """Take what an actor has finished, or replace it if it is dead."""
        import ray

        try:
            ended = ray.get(actor.result)
        except ray.exceptions.RayTaskError as error:
            raise UserError(clean(error.cause)) from None
        except ray.exceptions.RayError as error:
            self._replace(actor, "killed", f"its actor died {TRIES} times: {clean(error, 200)}", TRIES)
            return
        cells = cells_of(actor.chunk[:1])
        self._finished += [Finished(cells[key], status, reason) for key, status, reason in ended]
        actor.chunk = actor.chunk[1:]
        self._feed(actor)

    def _replace(self, actor: _Actor, status: str, reason: str, tries: int) -> None:
        """Start another actor in the place of a dead one, and give up the cell that it was at if that has died too often."""
        job, rest = actor.chunk[0], actor.chunk[1:]
        left = [cell for cell in (job.train, *job.evals) if self.store.status(cell.key) not in FINAL]
        done = [cell for cell in (job.train, *job.evals) if cell not in left]
        self._finished += [Finished(cell, str(self.store.status(cell.key)), "") for cell in done]
        again: tuple[Job, ...] = ()
        if left:
            dead = left[0]
            self._deaths[dead.key] = self._deaths.get(dead.key, 0) + 1
            again = (replace(job, evals=tuple(cell for cell in job.evals if cell in left)),)
            if self._deaths[dead.key] >= tries:
                again, ended = give_up(self.store, again, dead, status, reason)
                self._finished += ended
        new = self._start()
        actor.handle, actor.ready, actor.chunk = new.handle, new.ready, (*again, *rest)
        self._feed(actor)
