"""What a log says of a run's progress."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

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
    with Progress(3, console) as progress:
        for status in ("ok", "incompatible", "failed"):
            progress.on_cell(CELL, status, "because [of] this")
            progress.tick()
    lines = console.file.getvalue().splitlines()
    assert lines[0] == "3 cells to do"
    assert lines[1] == "failed: train coop on v1, digits domain seed 3: because [of] this"
    assert lines[2].startswith("3/3 cells, about 0.0 min left")
    assert len(lines) == 3


def test_a_log_tells_the_time_that_is_left(console, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("benchmark.experiment.progress.time.monotonic", lambda: now[0])
    with Progress(4, console) as progress:
        now[0] += 60
        progress.on_cell(CELL, "ok", "")
        now[0] += 1
        progress.on_cell(CELL, "ok", "")
    lines = console.file.getvalue().splitlines()
    assert lines[1:] == ["1/4 cells, about 3.0 min left"]
