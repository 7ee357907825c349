"""Tasks of a work order, in this process: what they leave, and what they do when they are started again."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from benchmark.data.task import TaskId
from benchmark.experiment import task as module
from benchmark.experiment.executor import Finished, Settings, cells_of
from benchmark.experiment.executors.local import LocalPool
from benchmark.experiment.plan import Cell, Configuration, Job
from benchmark.experiment.store import Store
from benchmark.experiment.task import AGAIN, State, Task
from benchmark.experiment.work_order import WorkOrder
from benchmark.experiment.worker import Context

TASK = TaskId("d", "base-to-new", 16, 1)


def job(name: str) -> Job:
    train, test = (
        Cell(kind, f"{name}{number}", {}, Configuration("m", "default", {}), "b", TASK, {})
        for number, kind in enumerate(("train", "eval"))
    )
    return Job(train, (test,))


@pytest.fixture
def order(tmp_path) -> WorkOrder:
    made = WorkOrder(tmp_path / "order")
    made.write(Context({}, (), tmp_path, None, "cpu", "fp32"), Settings(workers=1), [(job("a"), job("b"))])
    return made


class Pool:
    """One worker that finishes a cell at every look, and never gets beyond the cell ``stuck``."""

    stuck = ""
    Config = LocalPool.Config

    def __init__(self, context, settings, config):
        self.store, self.cells = Store(context.store), []

    def submit(self, chunks):
        cells = [cell for chunk in chunks for cell in cells_of(chunk).values()]
        self.cells = [cell for cell in cells if self.store.status(cell.key) != "ok"]

    def poll(self, timeout):
        if self.current == [self.stuck]:
            self.look()
            return []
        cell = self.cells.pop(0)
        self.store.write(cell.key, {}, "ok")
        return [Finished(cell, "ok", "")]

    @property
    def current(self):
        return [self.cells[0].key] if self.cells else []

    @property
    def unfinished(self):
        return bool(self.cells)

    def cancel(self):
        pass


@pytest.fixture
def start(order, monkeypatch):
    """Start task 0 with a pool that is stuck at a cell, where ``then(task)`` is called."""

    def run(stuck: str = "", then=None) -> int:
        started = Task(order, 0, "log")
        pool = type("Some", (Pool,), {"stuck": stuck, "look": lambda self: then(started)})
        monkeypatch.setattr(module, "LocalPool", pool)
        return started.run()

    return run


def die(task):
    raise RuntimeError("killed")  # nothing is written after it, as nothing is after SIGKILL


def lines(order) -> list[list[str]]:
    return [json.loads(line) for line in order.finished(0).read_text().splitlines()]


def test_a_task_says_what_it_has_finished(order, start):
    assert start() == 0
    assert lines(order) == [[key, "ok", ""] for key in ("a0", "a1", "b0", "b1")]
    assert State.read(order.state(0)) == State()


def test_a_task_takes_as_many_workers_as_it_was_given(order, tmp_path):
    assert Task(order, 0).settings.workers == 1
    assert Task(order, 0, workers=4).settings.workers == 4
    order.write(Context({}, (), tmp_path, None, "cuda", "fp32"), Settings(), [()], {"workers_per_gpu": 3})
    task = Task(order, 0)
    assert (task.settings.workers, task.pool.workers_per_gpu) == (None, 3)


def test_a_stopped_task_wants_to_be_started_again_and_goes_on(order, start):
    assert start("a1", Task.leave) == AGAIN
    assert State.read(order.state(0)) == State()
    assert start() == 0
    assert [key for key, *_ in lines(order)] == ["a0", "a1", "b0", "b1"]


def test_a_cell_that_never_gets_done_is_given_up(order, start):
    """It was dropped once after another cell, and then twice by itself."""
    for drops in (0, 1, 2):
        assert start("a1", Task.leave) == AGAIN
        assert State.read(order.state(0)).drops == Counter({"a1": drops} if drops else {})
    assert start("a1", Task.leave) == 0, "it is not tried any more"
    assert [status for _, status, _ in lines(order)] == ["ok", "timeout", "ok", "ok"]
    assert "stopped 2 times, by the walltime or for others" in lines(order)[1][2]


def test_a_cell_during_which_the_task_dies_twice_is_given_up(order, start):
    """With what depends on it."""
    for deaths in (0, 1):
        with pytest.raises(RuntimeError):
            start("a0", die)
        state = State.read(order.state(0))
        assert (state.current, state.deaths) == (["a0"], Counter({"a0": deaths} if deaths else {}))
    assert start("a0", die) == 0
    assert [(key, status) for key, status, _ in lines(order)] == [
        ("a0", "killed"),
        ("a1", "blocked"),
        ("b0", "ok"),
        ("b1", "ok"),
    ]


def test_a_broken_state_is_a_fresh_one(tmp_path):
    (tmp_path / "state").write_text("{")
    assert State.read(tmp_path / "state") == State()


def test_errors_are_left_for_the_driver(order, monkeypatch, capsys):
    from benchmark.config.errors import UserError

    def fail(self):
        raise UserError("cannot write x: No space left on device")

    monkeypatch.setattr(Task, "run", fail)
    monkeypatch.setattr(module.signal, "signal", lambda *_: None)
    monkeypatch.setattr("sys.argv", ["task", str(order.folder), "0"])
    assert module.main() == 1
    assert "No space left" in order.error(0).read_text()
    assert "No space left" in capsys.readouterr().err
