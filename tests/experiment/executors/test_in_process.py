"""Cells in this process: one job per call, and nothing after a cancellation."""

from __future__ import annotations

import pytest

from benchmark.experiment.executor import Settings
from benchmark.experiment.executors import in_process
from benchmark.experiment.executors.in_process import InProcess
from benchmark.experiment.plan import Cell, Configuration, Job
from benchmark.experiment.worker import Context


class FakeWorker:
    """Finishes every cell of a job at once."""

    def __init__(self, context):
        self.context = context

    def run(self, job, report):
        for cell in (job.train, *job.evals):
            report("start", cell.key, "", "")
            report("end", cell.key, "ok", cell.key.upper())


def job(name: str) -> Job:
    train, test = (
        Cell(kind, f"{name}{kind}", {}, Configuration("m", "default", {}), "b", "t", {}) for kind in ("train", "eval")
    )
    return Job(train, (test,))


@pytest.fixture
def executor(tmp_path, monkeypatch):
    monkeypatch.setattr(in_process, "Worker", FakeWorker)
    return InProcess(Context({}, (), tmp_path, None, "cpu", "fp32"), Settings())


def test_one_job_at_a_time_in_order(executor):
    executor.submit([(job("a"), job("b")), (job("c"),)])
    for name in "abc":
        assert executor.unfinished
        finished = executor.poll(1.0)
        assert [(end.cell.key, end.status, end.reason) for end in finished] == [
            (f"{name}{kind}", "ok", f"{name}{kind}".upper()) for kind in ("train", "eval")
        ]
    assert not executor.unfinished


def test_a_cancellation_empties_the_queue(executor):
    executor.submit([(job("a"), job("b"))])
    executor.poll(1.0)
    executor.cancel()
    assert not executor.unfinished
