"""What jobs are taken to cost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmark.experiment.costs import CLASS, FIXED, STEP, TEXT, Costs, Remaining
from benchmark.experiment.plan import Cell, Configuration, Job, Plan
from benchmark.experiment.store import Store
from benchmark.method import registry
from benchmark.training.checks import tiny_clips


@pytest.fixture
def made(tmp_path):
    """Jobs of two seeds on two backbones, where they are stored, and their costs."""
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
    return jobs, store, Costs(plan, methods)


GUESS = 2 * FIXED + 100 * (STEP + TEXT + 4 * CLASS)
"""Of a training of 100 steps on four classes, and its evaluation."""


def test_without_any_finished_cell_it_is_a_guess(made):
    jobs, _, costs = made
    assert costs.of(jobs["old1"]) == pytest.approx(GUESS)


def test_finished_cells_correct_the_guesses_for_cells_like_them(made):
    """For those of the method on the same backbone, else on any."""
    jobs, _, costs = made
    costs.learn(jobs["old1"].train, 30.0)
    costs.learn(jobs["old1"].evals[0], 4.0)
    assert costs.of(jobs["old2"]) == pytest.approx(34.0)
    assert costs.of(jobs["new2"]) == pytest.approx(34.0)
    costs.learn(jobs["new2"].train, 10.0)
    assert costs.of(jobs["new1"]) == pytest.approx(14.0)
    assert costs.of(jobs["old2"]) == pytest.approx(34.0)


def test_what_failed_says_nothing(made):
    jobs, store, costs = made
    store.write("new1-train", {}, "failed", seconds=1.0)
    remaining = Remaining(costs, store, [jobs["new1"].train, jobs["new2"].train])
    remaining.finish(jobs["new1"].train)
    assert (remaining.seconds, remaining.taken) == (pytest.approx(GUESS - FIXED), 0.0)


def test_what_remains_is_corrected_as_cells_finish(made):
    jobs, store, costs = made
    cells = [cell for job in jobs.values() for cell in (job.train, *job.evals)]
    remaining = Remaining(costs, store, cells)
    assert (remaining.seconds, remaining.taken) == (pytest.approx(4 * GUESS), 0.0)
    for cell, seconds in ((jobs["old1"].train, 30.0), (jobs["old1"].evals[0], 4.0)):
        store.write(cell.key, {}, "ok", seconds=seconds)
        remaining.finish(cell)
    assert (remaining.seconds, remaining.taken) == (pytest.approx(3 * 34.0), pytest.approx(34.0))


def test_tasks_of_an_analysis_are_like_one_another(made):
    jobs, _, costs = made
    other = replace(jobs["old1"].train, task=replace(jobs["old1"].train.task, shots=1))
    assert costs.guess(other) == 1.0
