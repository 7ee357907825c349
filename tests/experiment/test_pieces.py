"""How chunks are cut into the tasks of a cluster."""

from __future__ import annotations

import heapq
import random

import pytest

from benchmark.data.task import TaskId
from benchmark.experiment.pieces import cut, longest_first, with_pilots
from benchmark.experiment.plan import Cell, Configuration, Job


def job(number: int, backbone: str = "b", dataset: str = "d") -> Job:
    one = Configuration("m", "default", {})
    return Job(Cell("train", str(number), {}, one, backbone, TaskId(dataset, "few-shot", 16, 1), {}), ())


def seconds(job: Job) -> float:
    return float(job.train.key)


@pytest.mark.parametrize(
    ("lengths", "pieces"),
    [
        ([3, 3, 3], [[3, 3], [3]]),
        ([9, 1, 1], [[9], [1, 1]]),
        ([1, 9, 1], [[1], [9], [1]]),
        ([6], [[6]]),
        ([], []),
    ],
)
def test_pieces_are_no_longer_than_wanted_unless_a_job_is(lengths, pieces):
    found = cut([job(length) for length in lengths], seconds, 6)
    assert [[int(one.train.key) for one in piece] for piece in found] == pieces


def test_the_shortest_job_of_a_backbone_and_data_set_comes_first():
    pieces = [(job(5), job(2)), (job(7),), (job(1, dataset="e"),), (job(4, backbone="c"),), (job(3, backbone="c"),)]
    pilots, rest = with_pilots(pieces, seconds)
    assert [[one.train.key for one in piece] for piece in pilots] == [["2"], ["3"]]
    assert [[one.train.key for one in piece] for piece in rest] == [["5"], ["7"], ["1"], ["4"]]
    assert [piece[0].train.key for piece in longest_first(rest, seconds)] == ["7", "5", "4", "1"]


def efficiency(pieces: list, workers: int) -> float:
    """Of workers that each take the next piece as soon as they are free."""
    free = [0.0] * workers
    for piece in pieces:
        heapq.heappush(free, heapq.heappop(free) + sum(map(seconds, piece)))
    return sum(sum(map(seconds, piece)) for piece in pieces) / (max(free) * workers)


def test_long_bundles_are_what_keeps_workers_idle():
    """Bundles of up to 20 hours on 64 workers, as they are, and in pieces of an hour with the longest first."""
    random.seed(1)
    bundles = [tuple(job(random.randint(60, 2400)) for _ in range(random.choice((4, 12, 60)))) for _ in range(150)]
    pieces = [piece for bundle in bundles for piece in cut(bundle, seconds, 3600)]
    assert efficiency(longest_first(pieces, seconds), 64) > 0.97
    assert efficiency(bundles, 64) < 0.8
