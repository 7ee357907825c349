"""SLURM: a job array of tasks, each a few jobs of the plan. SLURM does the scheduling, and the driver may come and go.

A first array computes one cheap job for each backbone and data set, so that features which many share are encoded once; the
others wait for it. Only ``sbatch``, ``squeue``, ``scontrol`` and ``scancel`` are used, so sites without accounting will do.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from benchmark.config.errors import UserError, clean
from benchmark.config.files import write_atomically
from benchmark.config.paths import PACKAGE
from benchmark.config.schema import Strict, listed
from benchmark.experiment.executor import Chunk, Executor, Finished, Settings, cells_of, give_up
from benchmark.experiment.pieces import cut, longest_first, with_pilots
from benchmark.experiment.plan import Cell, Job
from benchmark.experiment.store import FINAL, Store
from benchmark.experiment.task import AGAIN
from benchmark.experiment.work_order import LOGS, WorkOrder
from benchmark.experiment.worker import Context

FOLDER, ARRAYS = "slurm", "arrays.json"
TRIES = 2
"""Submissions of a job whose task ends without finishing it."""
QUARTER = 4
"""A task is to take at most one part in so many of the walltime."""
GRACE = 60
"""Seconds before the end of the walltime at which a task is asked to end."""


class Needs(Strict):
    """What a task asks SLURM for."""

    gres: str | None = None
    """Such as gpu:1."""
    cpus: int = Field(default=1, ge=1)
    memory: str | None = None
    """Such as 16G."""
    walltime: str = Field(default="4:00:00", pattern=r"^(\d+-)?\d+:\d\d:\d\d$")

    @property
    def seconds(self) -> float:
        """The walltime."""
        days, _, clock = self.walltime.rpartition("-")
        hours, minutes, seconds = map(int, clock.split(":"))
        return ((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + seconds


@dataclass
class Array:
    """A submitted job array, as it is remembered for whoever attaches later."""

    folder: str
    job: str
    first: int
    """Number of the task in the folder that is the array's task 0."""
    count: int


@dataclass
class _Running:
    """A task that SLURM has, and where in its list of finished cells the driver is."""

    order: WorkOrder
    number: int
    chunk: Chunk
    read: int = 0


class Slurm(Executor):
    """Tasks in job arrays."""

    name = "slurm"

    class Config(Needs):
        """What ``executor:`` may say in a YAML."""

        partition: str | None = None
        account: str | None = None
        flags: Annotated[tuple[str, ...], BeforeValidator(listed)] = ()
        """More options of sbatch, such as --constraint=a100."""
        setup: Annotated[tuple[str, ...], BeforeValidator(listed)] = ()
        """Lines of shell that come before the work, such as module load cuda."""
        task_minutes: float = Field(default=60.0, gt=0, le=120.0)
        """What a task is to take, at most a quarter of the walltime."""
        workers_per_gpu: int = Field(default=1, ge=1, le=64)
        poll_seconds: float = Field(default=10.0, gt=0)
        """Between two looks at what tasks have finished, and at SLURM's queue."""
        needs: dict[str, Needs] = Field(default_factory=dict)
        """Other needs of some methods, by names or globs; what is left out is as above."""

        def needs_of(self, method: str) -> Needs:
            """What a task with a method asks for."""
            given = {name: getattr(self, name) for name in Needs.model_fields}
            for pattern, changes in self.needs.items():
                if fnmatchcase(method, pattern):
                    given |= changes.model_dump(exclude_unset=True)
            return Needs(**given)

    def __init__(self, context: Context, settings: Settings, config: Any = None) -> None:
        super().__init__(context, settings, config)
        self.store = Store(context.store)
        self.root = context.store / FOLDER
        self._left: dict[str, Cell] = {}
        """What the driver waits for, by key."""
        self._running: dict[tuple[str, int], _Running] = {}
        """By job array and index."""
        self._jobs: dict[str, None] = {}
        """Arrays of which something is waited for, in the order of their submission."""
        self._tries: dict[str, int] = {}
        self._asked = 0.0

    @classmethod
    def device(cls, requested: str, config: Any) -> str:
        """A GPU if tasks ask for one; this machine need not have any."""
        if shutil.which("sbatch") is None:
            raise UserError("--executor slurm: there is no sbatch here", fix="start the run on a login node of the cluster")
        if requested == "auto":
            return "cuda" if config.gres and "gpu" in config.gres else "cpu"
        return requested

    # --- submitting -------------------------------------------------------------------------------------------------

    def submit(self, chunks: Sequence[Chunk]) -> None:
        wanted = {key: cell for chunk in chunks for key, cell in cells_of(chunk).items() if not self._is_final(key)}
        self._left |= wanted
        taken = self._attach(wanted)
        new = wanted.keys() - taken
        left = [tuple(job for job in chunk if new & cells_of((job,)).keys()) for chunk in chunks]
        self._submit([chunk for chunk in left if chunk])

    def _attach(self, wanted: Mapping[str, Cell]) -> set[str]:
        """Watch the tasks of earlier runs that SLURM still has; returns the wanted cells among theirs."""
        taken: set[str] = set()
        live = self._queue()
        for file in sorted(self.root.glob(f"*/{ARRAYS}")):
            for array in (Array(**content) for content in json.loads(file.read_text())):
                for number in range(array.count):
                    if (array.job, number) in live:
                        order = WorkOrder(self.root / array.folder)
                        chunk = order.chunk(array.first + number)
                        own = wanted.keys() & cells_of(chunk).keys()
                        if own:
                            taken |= own
                            self._watch(array, number, order, chunk)
        return taken

    def _watch(self, array: Array, number: int, order: WorkOrder, chunk: Chunk) -> None:
        self._jobs[array.job] = None
        self._running[array.job, number] = _Running(order, array.first + number, chunk)

    def _submit(self, chunks: Sequence[Chunk]) -> None:
        if not chunks:
            return
        stages = self._stages(chunks)
        tasks = [chunk for stage in stages for _, part in stage for chunk in part]
        name = f"{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:8]}"
        order, first, arrays = WorkOrder(self.root / name), 0, list[Array]()
        order.write(self.context, self.settings, tasks, {"workers_per_gpu": self.config.workers_per_gpu})
        before, largest = list[str](), _largest_array()
        for stage in stages:
            submitted = []
            for needs, part in stage:
                for start in range(0, len(part), largest):
                    some = part[start : start + largest]
                    array = Array(name, self._sbatch(order, first, len(some), needs, before), first, len(some))
                    arrays.append(array)
                    write_atomically(order.folder / ARRAYS, json.dumps([asdict(one) for one in arrays]).encode())
                    for number, chunk in enumerate(some):
                        self._watch(array, number, order, chunk)
                    submitted.append(array.job)
                    first += len(some)
            before = submitted

    def _workers(self, needs: Needs) -> int | None:
        """Of one task; None for as many as it has GPUs."""
        return self.settings.workers or (needs.cpus if self.context.device == "cpu" else None)

    def _stages(self, chunks: Sequence[Chunk]) -> list[list[tuple[Needs, list[Chunk]]]]:
        """Tasks by what they need, the longest first: those that encode features for others, and all others."""
        pieces: list[Chunk] = []
        for chunk in chunks:
            by_needs: dict[Needs, list[Job]] = {}
            for job in chunk:
                by_needs.setdefault(self._needs((job,)), []).append(job)
            for needs, jobs in by_needs.items():
                target = min(60 * self.config.task_minutes, needs.seconds / QUARTER) * (self._workers(needs) or 1)
                pieces += cut(jobs, self.seconds, target)
        stages = []
        for stage in with_pilots(pieces, self.seconds):
            grouped: dict[Needs, list[Chunk]] = {}
            for piece in longest_first(stage, self.seconds):
                grouped.setdefault(self._needs(piece), []).append(piece)
            stages.append(list(grouped.items()))
        return [stage for stage in stages if stage]

    def _needs(self, piece: Chunk) -> Needs:
        """Of jobs that need the same."""
        found: Needs = self.config.needs_of(piece[0].train.configuration.method)
        return found

    def _sbatch(self, order: WorkOrder, first: int, count: int, needs: Needs, before: Sequence[str]) -> str:
        """Submit an array; returns its job."""
        script = order.folder / f"array-{first}.sh"
        write_atomically(script, self._script(order, first, count, needs, before).encode())
        return _call("sbatch", "--parsable", str(script)).strip().split(";")[0]

    def _script(self, order: WorkOrder, first: int, count: int, needs: Needs, before: Sequence[str]) -> str:
        config, logs = self.config, order.folder / LOGS
        options = {
            "job-name": "clip-compat",
            "array": f"0-{count - 1}",
            "time": needs.walltime,
            "cpus-per-task": needs.cpus,
            "mem": needs.memory,
            "gres": needs.gres,
            "partition": config.partition,
            "account": config.account,
            "output": logs / "%A_%a.log",
            "open-mode": "append",
            "signal": f"B:TERM@{GRACE}",
            "dependency": f"afterany:{':'.join(before)}" if before else None,
        }
        lines = [f"#SBATCH --{name}={value}" for name, value in options.items() if value is not None]
        lines += ["#SBATCH --requeue", *(f"#SBATCH {flag}" for flag in config.flags)]
        work, workers = [sys.executable, "-m", "benchmark.experiment.task", str(order.folder)], self._workers(needs)
        more = f"--workers={workers} " if workers else ""
        log = f'--log={shlex.quote(str(logs))}/"$SLURM_ARRAY_JOB_ID"_"$SLURM_ARRAY_TASK_ID".log'
        return "\n".join(
            [
                "#!/bin/bash",
                *lines,
                *config.setup,
                f"cd {shlex.quote(str(PACKAGE.parent))}",
                f"{shlex.join(work)} $(({first} + SLURM_ARRAY_TASK_ID)) {more}{log} &",
                "work=$!",
                "trap 'kill -TERM $work' TERM",
                "wait $work; status=$?",
                "while kill -0 $work 2>/dev/null; do wait $work; status=$?; done  # a signal ends a wait early",
                f'if [ $status = {AGAIN} ]; then scontrol requeue "$SLURM_JOB_ID"; fi',
                "exit $status",
                "",
            ]
        )

    # --- watching ---------------------------------------------------------------------------------------------------

    def poll(self, timeout: float) -> list[Finished]:
        time.sleep(min(timeout, self.config.poll_seconds))
        if time.monotonic() - self._asked <= self.config.poll_seconds:  # there may be thousands of tasks, and files of each
            return []
        self._asked = time.monotonic()
        finished = [end for task in self._running.values() for end in self._news(task)]
        live = self._queue()
        for place in [place for place in self._running if place not in live]:
            finished += self._ended(place)
        return finished

    def _news(self, task: _Running) -> list[Finished]:
        """What a task has finished since the last look."""
        reason = _text(task.order.error(task.number))
        if reason:
            raise UserError(reason, where=str(task.order.folder))
        try:
            with task.order.finished(task.number).open() as handle:
                handle.seek(task.read)
                content = handle.read()
        except OSError:
            return []
        whole = content[: content.rfind("\n") + 1]
        task.read += len(whole.encode())
        found = (json.loads(line) for line in whole.splitlines())
        return [Finished(self._left.pop(key), status, reason) for key, status, reason in found if key in self._left]

    def _ended(self, place: tuple[str, int]) -> list[Finished]:
        """A task that SLURM has no more: what it left unfinished is submitted again, or given up."""
        task = self._running.pop(place)
        finished = self._news(task)
        for key in [key for key in cells_of(task.chunk) if key in self._left]:
            record = self.store.record(key)
            if record is not None and record["status"] in FINAL:
                finished.append(Finished(self._left.pop(key), record["status"], record.get("reason", "")))
        elsewhere = {key for other in self._running.values() for key in cells_of(other.chunk)}
        lost = tuple(job for job in task.chunk if any(k in self._left and k not in elsewhere for k in cells_of((job,))))
        again = tuple(job for job in lost if self._tries.get(job.train.key, 1) < TRIES)
        for job in again:
            self._tries[job.train.key] = self._tries.get(job.train.key, 1) + 1
        self._submit([(job,) for job in again])  # each for itself: one of them may be what ended the task
        log = task.order.folder / LOGS / f"{place[0]}_{place[1]}.log"
        for job in lost:
            if job not in again:
                finished += self._given_up(job, f"its task ended {TRIES} times without finishing it, see {log}")
        return finished

    def _given_up(self, job: Job, reason: str) -> list[Finished]:
        dead = next(cell for cell in (job.train, *job.evals) if cell.key in self._left and not self._is_final(cell.key))
        ended = give_up(self.store, (job,), dead, "killed", reason)[1]
        return [end for end in ended if self._left.pop(end.cell.key, None)]

    def _queue(self) -> set[tuple[str, int]]:
        """(array job, index) of the user's tasks that wait or run; what was known before if SLURM does not answer."""
        try:
            lines = _call("squeue", "--me", "-h", "-r", "-o", "%F|%K").splitlines()
        except UserError:
            return set(self._running)
        found = (re.fullmatch(r"(\d+)\|(\d+)", line.strip()) for line in lines)
        return {(match[1], int(match[2])) for match in found if match}

    def _is_final(self, key: str) -> bool:
        return self.store.status(key) in FINAL

    @property
    def unfinished(self) -> bool:
        return bool(self._left)

    def cancel(self) -> None:
        if self._left and self._jobs:
            with suppress(UserError):  # they may have ended
                _call("scancel", *self._jobs)
        self._left, self._running = {}, {}

    def interrupted(self) -> str:
        jobs = list(self._jobs)
        if not jobs:
            return ""
        return (
            f"detached: SLURM goes on with {len(self._left)} cells in the job{'s' * (len(jobs) > 1)} {', '.join(jobs)}. "
            f"To attach: the same command. To watch: squeue -j {','.join(jobs)}, and the logs in {self.root}/*/{LOGS}. "
            f"To cancel: scancel {' '.join(jobs)}"
        )


def _call(*command: str) -> str:
    """What a program of SLURM prints.

    Raises:
        UserError: it fails, and what it says.
    """
    done = subprocess.run(command, capture_output=True, text=True)  # noqa: S603 - the programs of SLURM
    if done.returncode:
        said = clean(done.stderr or done.stdout)
        raise UserError(f"{command[0]} failed: {said}", fix="check the settings under executor:")
    return done.stdout


def _largest_array() -> int:
    """How many tasks an array may have."""
    found = re.search(r"MaxArraySize\s*=\s*(\d+)", _call("scontrol", "show", "config"))
    return max(1, int(found[1]) - 1) if found else 1000


def _text(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""
