"""Figures with one point for each method: which methods they show, and where."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from fixtures.results import METHODS, by_seed

from benchmark.report import scatter
from benchmark.report.drawing import values
from benchmark.report.method_rows import headline
from benchmark.report.model import BASE_TO_NEW, CostRow, MethodRow


@pytest.fixture(scope="module")
def rows(results: pd.DataFrame) -> list[MethodRow]:
    """The rows of the first upgrade."""
    return [row for row in headline(results, "zero", METHODS) if row.pair == "v1->v2"]


def cost(label: str, seconds: float) -> CostRow:
    return CostRow(label, 1, seconds, seconds, (1.0, 1.0), 1.0)


def test_strip_has_every_lift_and_not_the_baseline(rows: list[MethodRow]) -> None:
    figure = scatter.strip([("v1 → v2", rows), ("nothing", [])], BASE_TO_NEW)
    assert figure is not None
    assert {(line[0], line[1], line[3]) for line in figure.data} == {
        ("v1 → v2", "prompt", "helps"),
        ("v1 → v2", "prompt-b", "helps"),
        ("v1 → v2", "adapter", "harms"),
    }
    assert scatter.strip([("nothing", [])], BASE_TO_NEW) is None
    assert set(values(figure.canvas)) == {"point0:prompt", "point0:prompt-b", "point0:adapter"}
    assert values(figure.canvas)["point0:adapter"].endswith(", harms on v1 → v2")


def test_base_and_new_have_both_accuracies(results: pd.DataFrame, rows: list[MethodRow]) -> None:
    figure = scatter.base_and_new(rows, BASE_TO_NEW, "v1 → v2")
    assert figure is not None
    points = {line[0]: line[2:] for line in figure.data}
    assert "bound" not in points  # it has base classes only
    expected = tuple(by_seed(results, "adapter", "reuse", split=split).mean() for split in ("base", "new"))
    assert points["adapter"] == pytest.approx(expected)
    assert values(figure.canvas)["point:adapter"] == f"base {expected[0]:.1f}, new {expected[1]:.1f}"
    assert scatter.base_and_new([row for row in rows if row.baseline], BASE_TO_NEW, "x") is None


def test_flips_are_those_of_reuse(rows: list[MethodRow]) -> None:
    figure = scatter.flips(rows, "v1 → v2")
    assert figure is not None
    points = {line[0]: line[2:] for line in figure.data}
    for row in rows:
        assert points[row.label] == (row.metric("negative_flip", "reuse"), row.metric("positive_flip", "reuse"))
    assert scatter.flips([], "x") is None


def test_the_front_is_marked(rows: list[MethodRow]) -> None:
    """The method prompt is the best, prompt-b is cheaper, adapter is expensive and bad."""
    costs = {label: cost(label, seconds) for label, seconds in (("prompt", 2.0), ("prompt-b", 1.0), ("adapter", 3.0))}
    lifts = {row.label: row.lift.mean for row in rows}
    figure = scatter.pareto(rows, costs, BASE_TO_NEW, "v1 → v2")
    assert figure is not None
    marked = {line[0] for line in figure.data if line[4] == "yes"}
    assert marked == ({"prompt", "prompt-b"} if lifts["prompt"] > lifts["prompt-b"] else {"prompt-b"})
    assert {line[0]: line[2] for line in figure.data} == {"prompt": 2.0, "prompt-b": 1.0, "adapter": 3.0}
    assert values(figure.canvas)["point:prompt"].endswith(", 2.00 s")


def test_no_front_of_one_point_or_of_times_that_are_missing(rows: list[MethodRow]) -> None:
    assert scatter.pareto(rows, {"prompt": cost("prompt", 1.0)}, BASE_TO_NEW, "x") is None
    missing = {"prompt": cost("prompt", 1.0), "adapter": cost("adapter", math.nan)}
    assert scatter.pareto(rows, missing, BASE_TO_NEW, "x") is None
