"""The contract of executors: every one leaves the same results, and one more is one file."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from benchmark.config.discovery import classes_in, file_names
from benchmark.config.errors import UserError
from benchmark.experiment import executors
from benchmark.experiment.executor import Executor, Finished, Settings, execute, make_chunks, make_executor
from benchmark.experiment.plan import Cell, Configuration, Job
from benchmark.experiment.store import FINAL, Store
from benchmark.experiment.worker import Context

MIRROR = '''
"""Another executor."""

from benchmark.experiment.executors.in_process import InProcess


class Mirror(InProcess):
    name = "mirror"
'''


@pytest.fixture
def context(tmp_path) -> Context:
    return Context({}, (), tmp_path, None, "cpu", "fp32")


def cell(kind: str, key: str, backbone: str = "b", task: str = "t") -> Cell:
    return Cell(kind, key, {}, Configuration("m", "default", {}), backbone, task, {})


def job(number: int, backbone: str = "b", task: str = "t") -> Job:
    return Job(cell("train", f"t{number}", backbone, task), (cell("eval", f"e{number}", backbone, task),))


def test_every_executor_computes_the_same_tables(world, tmp_path):
    """Byte for byte, one matrix with methods that train, that fit and that do not."""
    options = [
        "--upgrade-pairs=wide.yaml",
        "--methods=zero-shot,coop,clip-adapter",
        "--protocols=base-to-new",
        "--set=coop.steps=2",
    ]
    options += ["--set=clip-adapter.steps=2", "--device=cpu", "--workers=2"]
    tables = []
    for name in ("in-process", "local"):
        out = tmp_path / name
        done = world.call(*options, f"--executor={name}", f"--out={out}", "--no-report")
        assert done.status == 0, done.err
        tables.append([(out / file).read_bytes() for file in ("results.csv", "uncertainty.csv")])
    assert b"incompatible" in tables[0][0]
    assert tables[0] == tables[1]


def test_one_more_is_one_file(context, tmp_path, monkeypatch):
    (tmp_path / "mirror.py").write_text(MIRROR)
    monkeypatch.setattr(executors, "__path__", [*executors.__path__, str(tmp_path)])
    try:
        assert "mirror" in file_names(executors)
        settings = Settings(workers=3)
        made = make_executor("mirror", context, settings)
        assert type(made).__name__ == "Mirror"
        assert (made.context, made.settings) == (context, settings)
    finally:
        sys.modules.pop("benchmark.experiment.executors.mirror", None)


def test_an_unknown_executor_has_a_suggestion(context):
    with pytest.raises(UserError, match=r"unknown executor 'locale'.*did you mean 'local'"):
        make_executor("locale", context, Settings())


def test_names_are_those_of_the_files():
    assert [cls.name.replace("-", "_") for cls in classes_in(executors, Executor)] == file_names(executors)


def test_chunks_share_a_backbone_and_a_task(tmp_path):
    jobs = [job(1), job(2, task="u"), job(3), job(4, backbone="c")]
    store = Store(tmp_path)

    def is_final(cell):
        return store.status(cell.key) in FINAL

    assert make_chunks(jobs, is_final) == [(jobs[0], jobs[2]), (jobs[1],), (jobs[3],)]
    assert make_chunks(jobs, is_final, separate=True) == [(each,) for each in jobs]
    for key in ("t1", "e1"):
        store.write(key, {}, "ok")
    store.write("t3", {}, "ok")
    assert make_chunks(jobs, is_final) == [(jobs[1],), (jobs[2],), (jobs[3],)], "what is finished is left out"
    store.write("e3", {}, "failed")
    assert (jobs[2],) in make_chunks(jobs, is_final), "what failed is tried again"


class Scripted(Executor):
    """Tells of what a test wants, poll by poll."""

    name = "scripted"

    def __init__(self, *polls: list[Finished]) -> None:
        self.polls, self.log = list(polls), []

    def submit(self, chunks):
        self.log.append(("submit", chunks))

    def poll(self, timeout):
        assert 0 < timeout <= 1
        return self.polls.pop(0)

    @property
    def unfinished(self):
        return bool(self.polls)

    def cancel(self):
        self.log.append("cancel")


def test_execute_tells_of_every_cell_and_of_time():
    one, two = (Finished(cell("train", key), "ok", "") for key in ("a", "b"))
    executor, told = Scripted([one], [], [two]), []
    execute(executor, ["chunk"], lambda *end: told.append(end), lambda: told.append("tick"))
    assert told == [(one.cell, "ok", ""), "tick", "tick", (two.cell, "ok", ""), "tick"]
    assert executor.log == [("submit", ["chunk"]), "cancel"]


def test_execute_stops_the_executor_whatever_happens():
    executor = Scripted([Finished(cell("train", "a"), "ok", "")])
    with pytest.raises(KeyboardInterrupt):
        execute(executor, [], lambda *_: (_ for _ in ()).throw(KeyboardInterrupt), SimpleNamespace)
    assert executor.log[-1] == "cancel"
