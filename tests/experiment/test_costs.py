"""What jobs are taken to cost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmark.experiment.costs import CELL, STEP, Costs
from benchmark.experiment.plan import Cell, Configuration, Job, Plan
from benchmark.experiment.store import Store
from benchmark.method import registry
from benchmark.training.checks import tiny_clips


@pytest.fixture
def made(tmp_path):
    """Jobs of two seeds and of another backbone, and the costs after some of them are finished."""
    tasks = {}
    for seed in (1, 2):
        task = tiny_clips.task()
        task = replace(task, id=replace(task.id, seed=seed))
        tasks[task.id] = task
    methods = registry.methods()
    config = methods["coop"].cls.Config(steps=100).model_dump(mode="json")
    jobs = {}
    for task in tasks:
        for backbone in ("old", "new"):
            one = Configuration("coop", "default", {})
            name = f"{backbone}{task.seed}"
            train, test = (Cell(kind, f"{name}-{kind}", {}, one, backbone, task, config) for kind in ("train", "eval"))
            jobs[name] = Job(train, (test,))
    plan, store = Plan((), tuple(jobs.values()), tasks, ()), Store(tmp_path)
    return jobs, store, lambda: Costs(plan, methods, store, plan.cells())


def test_without_any_finished_cell_it_is_a_guess_by_steps(made):
    jobs, _, costs = made
    assert costs().seconds(jobs["old1"]) == pytest.approx(2 * CELL + 100 * STEP)


def test_finished_cells_of_the_kind_count_and_others_by_their_steps(made):
    jobs, store, costs = made
    store.write("old1-train", {}, "ok", seconds=30.0)
    store.write("old1-eval", {}, "ok", seconds=4.0)
    store.write("new1-train", {}, "failed", seconds=1.0)
    found = costs()
    assert found.seconds(jobs["old2"]) == pytest.approx(34.0)
    assert found.seconds(jobs["new2"]) == pytest.approx(34.0), "the same number of steps on another backbone"
