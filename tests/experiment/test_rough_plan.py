"""The plan of what is not there: the same cells, counted instead of read."""

from __future__ import annotations

import pytest

from benchmark.config import loader
from benchmark.experiment.rough_plan import rough_plan, seconds_by
from benchmark.experiment.session import Execution, registries, select
from benchmark.method import registry


@pytest.fixture(scope="module")
def paper():
    """The paper's experiment with three methods on a machine that has nothing of it."""
    spec = loader.load(loader.find(None).parent / "pairs/paper.yaml").model_copy(update={"data_root": "/nowhere"})
    methods = registry.methods()
    _, datasets = registries(spec.model_copy(update={"data_root": None}))
    chosen = spec.model_copy(update={"methods": ("coop", "clip-adapter"), "seeds": (1, 2, 3)})
    selection = select(chosen, [], methods, datasets)
    return rough_plan(selection, Execution(), methods, "cuda")


def test_it_has_every_cell_of_the_papers_protocols(paper):
    """11 training sets under base-to-new and five numbers of shots, ImageNet twice more; 2 methods and zero-shot, each on
    the old and the new backbone of two pairs, the module of the old one also on the new."""
    tasks = 3 * (11 * 6 + 2)
    assert len(paper.plan.tasks) == tasks
    assert len(paper.plan.jobs) == tasks * 3 * 4
    assert sum(1 for _ in paper.plan.cells()) == tasks * 3 * (4 + 6)
    assert paper.left_out == ()


def test_the_counts_are_the_published_ones(paper):
    sizes = {task.id.dataset: (len(task.train), len(task.tests[0].examples)) for task in paper.plan.tasks.values()}
    few = {task.id: task for task in paper.plan.tasks.values() if task.id.protocol == "few-shot" and task.id.shots == 16}
    assert sizes.keys() >= {"imagenet", "dtd", "eurosat"}
    found = {task.dataset: (len(few[task].train), len(few[task].tests[0].examples)) for task in few}
    assert found["imagenet"] == (16_000, 50_000)
    assert found["dtd"] == (47 * 16, 1_692)


def test_costs_follow_the_work(paper):
    """ImageNet has the most classes, and a prompt is worked on in every step; an adapter runs no tower."""
    by_data = seconds_by(paper.plan, paper.costs, lambda cell: cell.task.dataset)
    assert next(iter(by_data)) == "imagenet"
    by_method = seconds_by(paper.plan, paper.costs, lambda cell: cell.configuration.method)
    assert by_method["coop"] > 5 * by_method["clip-adapter"] > 5 * by_method["zero-shot"] / 5
    by_backbone = seconds_by(paper.plan, paper.costs, lambda cell: cell.backbone)
    assert by_backbone["openai-l14"] > by_backbone["openai-b16"]


@pytest.mark.parametrize(("workers", "efficiency"), [(12, 0.97), (24, 0.95)])
def test_cut_into_pieces_it_keeps_a_cluster_busy(paper, workers, efficiency):
    """As SLURM would run it: pieces of at most an hour, the longest first, each to the first worker that is free."""
    from heapq import heapify, heapreplace

    from benchmark.experiment.executor import make_chunks
    from benchmark.experiment.pieces import cut, longest_first

    chunks = make_chunks(paper.plan.jobs, lambda cell: False)
    pieces = [piece for chunk in chunks for piece in cut(chunk, paper.costs.of, 3600.0)]
    free = [0.0] * workers
    heapify(free)
    for piece in longest_first(pieces, paper.costs.of):
        heapreplace(free, free[0] + sum(map(paper.costs.of, piece)))
    assert sum(map(paper.costs.of, paper.plan.jobs)) / (workers * max(free)) >= efficiency
