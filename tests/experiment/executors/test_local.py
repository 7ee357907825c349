"""The pool's bookkeeping; whole runs, kills and timeouts are in ``tests/cli/test_run.py``."""

from __future__ import annotations

import errno
import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest

from benchmark.config.errors import UserError
from benchmark.data.task import TaskId
from benchmark.experiment import store
from benchmark.experiment.executor import Settings
from benchmark.experiment.executors import local
from benchmark.experiment.executors.local import LocalPool, _exit
from benchmark.experiment.plan import Cell, Configuration, Job
from benchmark.experiment.store import Store
from benchmark.experiment.worker import Context


def job(name: str, task: str = "t", evals: int = 2, seed: int = 1) -> Job:
    train, *tests = (
        Cell(kind, f"{name}{number}", {}, Configuration("m", "default", {}), "b", TaskId("d", task, 16, seed), {})
        for number, kind in enumerate(["train", *["eval"] * evals])
    )
    return Job(train, tuple(tests))


@pytest.fixture
def pool(tmp_path, monkeypatch):
    """A pool whose workers are no processes and only remember what they are sent."""

    def start(context):
        sent = []
        process = SimpleNamespace(kill=lambda: None, join=lambda: None, sentinel=0, exitcode=-9)
        pipe = SimpleNamespace(send=sent.append, close=lambda: None, sent=sent)
        return local._Slot(context, process, pipe)

    monkeypatch.setattr(local, "_start", start)
    return LocalPool(Context({}, (), tmp_path, None, "cpu", "fp32"), Settings(workers=2))


@pytest.mark.parametrize(
    ("code", "words"), [(-9, "signal SIGKILL"), (-99, "signal -99"), (3, "exit status 3"), (None, "exit status None")]
)
def test_how_a_worker_ended(code, words):
    assert _exit(code).startswith(words.removesuffix("-99")) if code == -99 else _exit(code) == words


def test_the_first_seed_is_finished_before_the_second_is_begun(pool):
    """Even if two workers then have the same task."""
    chunks = [(job("a"),), (job("b"),), (job("c", seed=2),)]
    pool.submit(chunks)
    assert [slot.chunk for slot in pool._slots] == chunks[:2]


def test_workers_start_with_different_tasks_and_keep_theirs(pool):
    chunks = [(job("a"),), (job("b"),), (job("c", task="u"),)]
    pool.submit(chunks)
    assert [slot.chunk for slot in pool._slots] == [chunks[0], chunks[2]]
    pool._feed(pool._slots[0])
    assert pool._slots[0].chunk == chunks[1]
    assert pool._slots[0].pipe.sent == [chunks[0], chunks[1]]
    pool._feed(pool._slots[1])
    assert pool._slots[1].chunk == ()


def test_no_more_workers_than_chunks(pool):
    pool.submit([(job("a"),)])
    assert len(pool._slots) == 1


def test_a_dead_worker_costs_the_cell_it_was_at(pool, tmp_path):
    one, two = job("a"), job("b")
    pool.submit([(one, two)])
    (slot,) = pool._slots
    slot.current = "a1"
    pool._replace(slot, "killed", "why")
    assert Store(tmp_path).status("a1") == "killed"
    assert [(end.cell.key, end.status) for end in pool._finished] == [("a1", "killed")]
    (chunk,) = slot.pipe.sent
    assert [[cell.key for cell in (job.train, *job.evals)] for job in chunk] == [["a0", "a2"], ["b0", "b1", "b2"]]


def test_a_dead_training_blocks_its_evaluations(pool, tmp_path):
    pool.submit([(job("a"), job("b"))])
    (slot,) = pool._slots
    slot.current = "a0"
    pool._replace(slot, "timeout", "longer than 8 s")
    assert [Store(tmp_path).status(key) for key in ("a0", "a1", "a2")] == ["timeout", "blocked", "blocked"]
    assert "its module was not trained: timeout: longer than 8 s" in Store(tmp_path).record("a1")["reason"]
    assert [job.train.key for job in slot.chunk] == ["b0"]


def test_workers_that_never_start_end_the_run(pool):
    pool.submit([(job("a"),)])
    (slot,) = pool._slots
    for _ in range(2):
        pool._replace(slot, "killed", "exit status 1")
        assert slot.chunk, "it is given the chunk again"
    with pytest.raises(UserError, match="workers die before they take any work: exit status 1"):
        pool._replace(slot, "killed", "exit status 1")


def test_a_cancellation_leaves_nothing(pool):
    pool.submit([(job("a"),), (job("b"),), (job("c"),)])
    pool.cancel()
    assert not pool.unfinished
    assert (pool._slots, pool._queue) == ([], [])


SPAWNING = """
import multiprocessing, sys
from benchmark.experiment.executors import local
local.process_maker = lambda gpu: multiprocessing.get_context("spawn")
if __name__ == "__main__":
    from benchmark.cli.main import main
    sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_spawned_workers_compute_what_forked_ones_compute(world, tmp_path):
    """As on GPUs and wherever there is no fork."""
    options = ["--methods=coop,clip-adapter", "--protocols=base-to-new", "--set=coop.steps=2", "--workers=1", "--device=cpu"]
    (tmp_path / "spawning.py").write_text(SPAWNING, encoding="utf-8")
    command = [sys.executable, str(tmp_path / "spawning.py"), *options, f"--out={tmp_path}/spawned", "--no-report"]
    env = world.env | {"PYTHONPATH": str(world.root)}
    done = subprocess.run(command, cwd=world.root, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    forked = world.call(*options, f"--out={tmp_path}/forked", "--no-report")
    assert forked.status == 0, forked.err
    for name in ("results.csv", "uncertainty.csv"):
        assert (tmp_path / "spawned" / name).read_bytes() == (tmp_path / "forked" / name).read_bytes(), name


def may_unshare() -> bool:
    """Whether this machine lets tests start a process that is number 1, as in a container."""
    command = ["unshare", "--fork", "--pid", "--mount-proc", "true"]
    return bool(shutil.which("unshare")) and subprocess.run(command, capture_output=True).returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(not may_unshare(), reason="needs unshare and the right to use it")
def test_a_driver_that_is_process_1_has_workers(world, tmp_path):
    """As the command of a container is."""
    options = ["--methods=zero-shot", "--protocols=base-to-new", "--workers=1", "--device=cpu", "--no-report"]
    command = ["unshare", "--fork", "--pid", "--mount-proc", *world.command(*options, f"--out={tmp_path}/out")]
    done = subprocess.run(command, cwd=world.root, env=world.env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "5 ok" in done.stdout


def test_a_full_disk_is_one_line_whatever_workers_it_stops(world, tmp_path, monkeypatch):
    """Workers cannot write their records; none of them prints a traceback beside the message."""

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store, "write_through", full)
    options = ["--methods=zero-shot", "--datasets=toy", "--device=cpu", "--workers=2", "--no-report"]
    done = world.call(*options, f"--out={tmp_path}/o")
    assert done.status == 2
    assert "No space left on device" in done.err
    assert "Traceback" not in done.err
