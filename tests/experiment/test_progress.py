"""What a log says of a run's progress."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from benchmark.experiment import progress
from benchmark.experiment.progress import Progress

CELL = SimpleNamespace(
    kind="train",
    configuration=SimpleNamespace(method="coop"),
    backbone="v1",
    task=SimpleNamespace(dataset="digits", protocol="domain", seed=3),
)


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=200)


def test_a_log_names_what_went_wrong_and_the_end(console):
    with Progress(3, console, Work(100.0)) as progress:
        for status in ("ok", "incompatible", "failed"):
            progress.on_cell(CELL, status, "because [of] this")
            progress.tick()
    lines = console.file.getvalue().splitlines()
    assert lines[0] == "3 cells to do"
    assert lines[1] == "failed: train coop on v1, digits domain seed 3: because [of] this"
    assert lines[2].startswith("3/3 cells, about 0 s left")
    assert len(lines) == 3


class Work:
    """Cells that take what ``take`` gives, of 100 seconds."""

    def __init__(self, *takes: float) -> None:
        self.takes, self.taken, self.seconds = list(takes), 0.0, 100.0

    def finish(self, cell) -> None:
        took = self.takes.pop(0) if self.takes else 0.0
        self.taken += took
        self.seconds -= took


def test_a_log_says_how_much_work_is_left_and_not_how_many_cells(console, monkeypatch):
    """Two workers have done 40 of 100 seconds of work in 20: the other 60 take 30."""
    now = [1000.0]
    monkeypatch.setattr("benchmark.experiment.progress.time.monotonic", lambda: now[0])
    with Progress(20, console, Work(10.0, 30.0)) as progress:
        progress.on_cell(CELL, "ok", "")
        progress.last -= 60
        now[0] += 20
        progress.on_cell(CELL, "ok", "")
    assert console.file.getvalue().splitlines()[1:] == ["2/20 cells, about 30 s left; last: train coop on v1, digits seed 3"]


@pytest.mark.parametrize(("seconds", "text"), [(5, "5 s"), (89, "89 s"), (120, "2.0 min"), (7200, "2.0 h")])
def test_how_times_are_written(seconds, text):
    assert progress._minutes(seconds) == text
