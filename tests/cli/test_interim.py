"""Tables and report while a run goes on."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from benchmark.cli import interim as module
from benchmark.cli.interim import WORTH, Interim, of_tasks
from benchmark.data.task import TaskId


def task(seed: int, dataset: str = "digits") -> TaskId:
    return TaskId(dataset, "base-to-new", 16, seed)


FIRST, SECOND = task(1), task(1, "letters")


def cell(of: TaskId) -> SimpleNamespace:
    return SimpleNamespace(task=of)


@pytest.fixture
def made(monkeypatch):
    """An interim of two tasks of seed 1 and one of seed 2, with two cells each; ``shown`` lists the tasks that it is about
    whenever a process is started."""
    shown = []

    class Process:
        def __init__(self, target):
            self.target, self.alive = target, True

        def start(self):
            shown.append(made.written)

        def is_alive(self):
            return self.alive

        def kill(self):
            self.killed = True

        def join(self):
            self.alive = False

    monkeypatch.setattr(module, "process_maker", lambda *, gpu: SimpleNamespace(Process=Process))
    tasks = dict.fromkeys((FIRST, SECOND, task(2)))
    made = Interim(SimpleNamespace(plan=SimpleNamespace(tasks=tasks), context=SimpleNamespace(device="cpu")), None, [])
    made.enabled, made.shown = True, shown
    made.on_start([cell(of) for of in tasks for _ in range(2)])
    return made


def finish(made, of, seconds=WORTH + 1):
    for _ in range(2):
        made.on_cell(cell(of), seconds)
    if made.writer is not None:
        made.writer.alive = False


def test_the_first_task_and_then_every_seed_is_shown(made):
    made.on_cell(cell(SECOND), WORTH + 1)
    assert not made.shown
    made.on_cell(cell(SECOND), WORTH + 1)
    made.writer.alive = False
    assert made.shown == [{SECOND}], "whichever is finished first"
    finish(made, FIRST)
    assert made.shown[1:] == [{FIRST, SECOND}], "the whole seed"
    finish(made, task(2))
    assert made.shown[2:] == [{FIRST, SECOND, task(2)}]


def test_tasks_of_an_unfinished_seed_are_not_shown_next_to_a_finished_one(made):
    finish(made, task(2))
    finish(made, FIRST)
    assert made.shown == [{task(2)}]


def test_it_is_not_written_near_the_end_nor_twice_at_once_nor_where_nothing_can_fork(made):
    finish(made, FIRST, WORTH - 1)
    assert not made.shown
    made.writer = SimpleNamespace(is_alive=lambda: True)
    for _ in range(2):
        made.on_cell(cell(SECOND), WORTH + 1)
    assert not made.shown, "the first is still being written"
    made.writer, made.enabled = None, False
    finish(made, task(2))
    assert not made.shown


def test_what_an_earlier_run_has_shown_is_not_shown_again(made):
    made.on_start([cell(task(2)), cell(task(2)), cell(SECOND)])
    assert made.written == {FIRST}
    made.on_cell(cell(SECOND), WORTH + 1)
    assert made.shown == [{FIRST, SECOND}]


@pytest.mark.parametrize("error", [None, KeyboardInterrupt()])
def test_at_the_end_it_is_waited_for_and_after_an_error_stopped(made, error):
    for _ in range(2):
        made.on_cell(cell(FIRST), WORTH + 1)
    made.__exit__(type(error) if error else None, error, None)
    assert not made.writer.alive
    assert hasattr(made.writer, "killed") == (error is not None)


def test_a_session_of_some_seeds(world, tmp_path):
    """The tables of a part of the seeds are those of a run that asked for them alone."""
    given = ("--methods=zero-shot", "--protocols=base-to-new", "--device=cpu", "--workers=0")
    both, one = tmp_path / "both", tmp_path / "one"
    seen = []

    def keep(self):
        session = of_tasks(self.session, [name for name in self.session.plan.tasks if name.seed == 1])
        seen.append([job.train.task.seed for job in session.plan.jobs])
        assert session.spec.warning.endswith("The run goes on: these are the results after seed 1 of 1, 2.")
        from benchmark.cli.finish import finish

        finish(session, None, [])
        seen.append((both / "results.csv").read_bytes())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Interim, "_write", keep)
        patch.setattr(Interim, "__exit__", lambda self, *_: self._write())
        assert world.call(*given, "--seeds=1,2", f"--out={both}", "--no-report").status == 0
    seeds, first = seen
    assert set(seeds) == {1}
    assert world.call(*given, "--seeds=1", f"--out={one}", "--no-report").status == 0
    assert len((both / "results.csv").read_bytes()) > len(first)
    assert (one / "results.csv").read_bytes() == first
