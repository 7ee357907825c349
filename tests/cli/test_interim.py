"""Tables and report while a run goes on."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import pytest

from benchmark.cli import interim as module
from benchmark.cli.interim import WORTH, Interim, of_seeds


def cell(seed: int) -> SimpleNamespace:
    return SimpleNamespace(task=SimpleNamespace(seed=seed))


@pytest.fixture
def made(monkeypatch):
    """An interim of two seeds with two cells each; ``written`` lists the cells left whenever a process is started."""
    written = []

    class Process:
        def __init__(self, target):
            self.target, self.alive = target, True

        def start(self):
            written.append(dict(made.left))

        def is_alive(self):
            return self.alive

        def kill(self):
            self.killed = True

        def join(self):
            self.alive = False

    monkeypatch.setattr(module, "process_maker", lambda *, gpu: SimpleNamespace(Process=Process))
    made = Interim.__new__(Interim)
    made.enabled, made.left, made.writer = True, Counter({1: 2, 2: 2}), None
    made.written = written
    return made


def test_it_is_written_when_a_seed_is_finished_and_much_is_left(made):
    made.on_cell(cell(1), WORTH + 1)
    assert not made.written
    made.on_cell(cell(1), WORTH + 1)
    assert made.written == [{1: 0, 2: 2}]


def test_it_is_not_written_near_the_end_nor_twice_at_once_nor_where_nothing_can_fork(made):
    for seed in (1, 1):
        made.on_cell(cell(seed), WORTH - 1)
    assert not made.written
    made.left = Counter({1: 1, 2: 1, 3: 1})
    made.on_cell(cell(1), WORTH + 1)
    made.on_cell(cell(2), WORTH + 1)
    assert len(made.written) == 1, "the first is still being written"
    made.writer.alive, made.enabled = False, False
    made.on_cell(cell(3), WORTH + 1)
    assert len(made.written) == 1


@pytest.mark.parametrize("error", [None, KeyboardInterrupt()])
def test_at_the_end_it_is_waited_for_and_after_an_error_stopped(made, error):
    for seed in (1, 1):
        made.on_cell(cell(seed), WORTH + 1)
    made.__exit__(type(error) if error else None, error, None)
    assert not made.writer.alive
    assert hasattr(made.writer, "killed") == (error is not None)


def test_a_session_of_some_seeds(world, tmp_path):
    """The tables of a part of the seeds are those of a run that asked for them alone."""
    given = ("--methods=zero-shot", "--protocols=base-to-new", "--device=cpu", "--workers=0")
    both, one = tmp_path / "both", tmp_path / "one"
    seen = []

    def keep(self):
        session = of_seeds(self.session, [1])
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
