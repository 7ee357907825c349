"""What jobs are taken to cost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmark.backbones.flops import TowerFlops
from benchmark.experiment.costs import BACKWARD, FIXED, SPEEDS, STEP, TOKENS, Costs, Remaining
from benchmark.experiment.plan import Cell, Configuration, Job, Plan
from benchmark.experiment.store import Store
from benchmark.method import registry
from benchmark.training.checks import tiny_clips

TOWERS = TowerFlops(image=2e9, token=1e7)


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
    return jobs, store, Costs(plan, methods, dict.fromkeys(("old", "new"), TOWERS), "cpu")


PROMPT = TOKENS * TOWERS.token / SPEEDS["cpu"].rate
TESTED = PROMPT * sum(len(test.classes) for test in tiny_clips.task().tests)
GUESS = 2 * FIXED + 100 * (STEP + SPEEDS["cpu"].launch + BACKWARD * 4 * PROMPT) + TESTED
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
    assert (remaining.seconds, remaining.taken) == (pytest.approx(GUESS - FIXED - TESTED), 0.0)


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


def test_learning_in_the_image_tower_costs_its_images(made):
    jobs, _, costs = made
    cell, task = jobs["old1"].train, next(iter(costs.plan.tasks.values()))
    config = costs.methods["vpt"].cls.Config(steps=10).model_dump(mode="json")
    vision = replace(cell, settings=config, configuration=replace(cell.configuration, method="vpt"))
    images = min(costs.methods["vpt"].cls.Config().batch_size, len(task.train))
    speed = SPEEDS["cpu"]
    expected = FIXED + 10 * (STEP + speed.launch + BACKWARD * images * TOWERS.image / speed.rate)
    assert costs.guess(vision) == pytest.approx(expected)
    tested = sum(len(test.examples) for test in task.tests)
    classes = sum(len(test.classes) for test in task.tests)
    expected = FIXED + (tested * TOWERS.image + classes * TOKENS * TOWERS.token) / speed.rate
    assert costs.guess(replace(vision, kind="eval")) == pytest.approx(expected)


def test_a_backbone_that_could_not_be_counted_is_taken_for_an_ordinary_one(made):
    jobs, _, costs = made
    costs.flops = {}
    assert costs.guess(jobs["old1"].train) > 4 * GUESS
