"""The estimate of a plan's cost: sums by hand, from paces that the test sets."""

from __future__ import annotations

import pytest
from fixtures.command import use_checkout

from benchmark.cli import dry_run
from benchmark.experiment import estimate
from benchmark.experiment.estimate import Pace


@pytest.fixture
def prepared(cli, world, tmp_path, monkeypatch):
    """A session of the toy world that was opened and not run: two trained methods, and the baseline."""
    held = {}
    monkeypatch.setattr(dry_run, "print_plan", lambda session: held.setdefault("session", session))
    methods = "--methods=coop,clip-lora,zero-shot"
    assert cli(methods, "--dry-run", "--device=cpu", f"--out={tmp_path}/o", "--set=coop.steps=7").status == 0
    use_checkout(monkeypatch, world.root)  # trials read the data sets themselves
    return held["session"]


def test_the_sum_is_that_of_its_parts(prepared, monkeypatch):
    plan, store = prepared.plan, prepared.store
    paces = {
        "coop": [Pace(4, 0.5, 0.01), Pace(8, 0.9, 0.03)],
        "clip-lora": [Pace(4, 1.0, 0.0)],
        "zero-shot": [Pace(4, 0, 0)],
    }
    monkeypatch.setattr(estimate, "_trials", lambda worker, features, tasks, cell: paces[cell.configuration.method])
    monkeypatch.setattr(estimate, "_encoding", lambda *_: 0.1)
    found = estimate.estimate(plan, prepared.context, store.status)

    trainings = [job.train for job in plan.jobs if job.train.configuration.method == "coop"]
    evaluations = [cell for job in plan.jobs if job.train.configuration.method == "coop" for cell in job.evals]
    expected = 0.0
    for cell in trainings:  # a half of the 8 classes, or all of them
        expected += 7 * {4: 0.5, 8: 0.9}[len(plan.tasks[cell.task].classes)]
    for cell in evaluations:
        for test in plan.tasks[cell.task].tests:
            expected += len(test.examples) * {4: 0.01, 6: 0.02, 8: 0.03}[len(test.classes)]
    assert found.methods["coop"] == pytest.approx(expected)
    assert found.methods["zero-shot"] == 0
    assert found.total == pytest.approx(sum(found.methods.values()) + found.features)

    tasks = plan.tasks.values()
    views = 4  # of training images; test images have one
    images = {test.examples.digest: len(test.examples) for task in tasks for test in task.tests}
    each = sum(len(task.train) * views for task in tasks) + sum(images.values())
    assert found.features == pytest.approx(0.1 * each * 2)  # on each of the two backbones


def test_what_is_done_costs_nothing(prepared, monkeypatch):
    monkeypatch.setattr(estimate, "_trials", lambda *_: pytest.fail("nothing needs to be tried"))
    assert estimate.estimate(prepared.plan, prepared.context, lambda key: "ok").total == 0


def test_a_method_that_cannot_be_tried_is_named(prepared, monkeypatch):
    def trials(worker, features, tasks, cell):
        if cell.configuration.method == "clip-lora":
            raise RuntimeError("CUDA out of memory.\nTried to allocate")
        return [Pace(4, 1.0, 0.1)]

    monkeypatch.setattr(estimate, "_trials", trials)
    found = estimate.estimate(prepared.plan, prepared.context, prepared.store.status)
    assert found.failed == {"clip-lora": "RuntimeError: CUDA out of memory. Tried to allocate"}
    assert found.methods["coop"] > 0


def test_trials_measure_time(prepared):
    """The true trials: training and testing take time, and a method that does not fit a backbone is left out."""
    found = estimate.estimate(prepared.plan, prepared.context, prepared.store.status)
    assert not found.failed
    assert found.methods["coop"] > 0
    assert found.methods["clip-lora"] > 0
    assert found.features > 0
