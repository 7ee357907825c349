"""The main figure of an upgrade: what it draws, and that it draws nothing without data."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from fixtures.results import METHODS, all_failed, by_seed, lift_half_width

from benchmark.report import table_prep
from benchmark.report.drawing import values
from benchmark.report.forest import forest
from benchmark.report.method_rows import headline
from benchmark.report.numbers import signed


def test_it_has_the_interval_that_decides_and_the_other_ways(results: pd.DataFrame) -> None:
    rows = [row for row in headline(results, "zero", METHODS) if row.pair == "v1->v2"]
    figure = forest(rows, table_prep.scope(results), "v1 → v2")
    data = {line[0]: line[1:] for line in figure.data}
    assert list(data) == ["prompt", "prompt-b", "adapter"], "the best first; the baseline and what has no H are left out"
    lift, low, high, verdict, stay, retrain = data["prompt"]
    zero = by_seed(results, "zero", "reuse").mean()
    assert (high - low) / 2 == pytest.approx(lift_half_width(results, "prompt"))
    assert lift == pytest.approx(by_seed(results, "prompt", "reuse").mean() - zero)
    assert (verdict, low > 0) == ("helps", True)
    assert stay == pytest.approx(by_seed(results, "prompt", "old").mean() - zero)
    assert retrain == pytest.approx(by_seed(results, "prompt", "retrain").mean() - zero)
    assert values(figure.canvas)["point:prompt"].startswith(f"lift {signed(lift)} ± ")
    assert f"helps, old {signed(stay)}, retrain {signed(retrain)}" in values(figure.canvas)["point:prompt"]
    ids = {artist.get_gid() for artist in figure.canvas.axes[0].get_children() if artist.get_gid()}
    assert {f"{part}:prompt" for part in ("interval", "point", "old", "retrain", "frame")} <= ids


def test_with_one_seed_there_are_points_and_no_intervals(results: pd.DataFrame) -> None:
    part = results[results.seed == 1]
    rows = [row for row in headline(part, "zero", METHODS) if row.pair == "v1->v2"]
    figure = forest(rows, table_prep.scope(part), "x")
    assert all(math.isnan(line[2]) for line in figure.data)
    assert not any("interval" in str(artist.get_gid()) for artist in figure.canvas.axes[0].get_children())


def test_it_is_absent_without_data(results: pd.DataFrame) -> None:
    rows = headline(all_failed(results), "zero", METHODS)
    assert forest(rows, table_prep.scope(results), "x") is None
