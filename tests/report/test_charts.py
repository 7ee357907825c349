"""Heat map and slope chart: the data that they draw."""

from __future__ import annotations

import pandas as pd
import pytest
from fixtures.results import (
    DATASETS,
    METHODS,
    Page,
    all_failed,
    by_seed,
)
from matplotlib import colormaps

from benchmark.report import (
    charts,
    numbers,
    table_prep,
)
from benchmark.report.drawing import BLACK, PAPER, values
from benchmark.report.method_rows import headline


def test_heat_map_and_slope_data(results: pd.DataFrame, text: str) -> None:
    heat = Page(text).rows("Method", "icons", "digits")
    mine = results[(results.new == "v2") & (results.split == "H") & (results.strategy == "reuse")]
    mine = mine[mine.metric == "accuracy"]
    means = mine.groupby(["method", "dataset"]).value.mean()
    expected = [numbers.number(means["prompt", d] - means["zero", d], 2) for d in DATASETS]
    assert next(row for row in heat[0] if row[0] == "prompt")[1:] == expected
    assert next(row for row in heat[0] if row[0] == "bound")[1:] == ["n/a", "n/a"]
    assert next(row for row in heat[1] if row[0] == "adapter")[1:] == ["incompatible", "incompatible"]
    slope = Page(text).rows("Method", "Learns at", "Old H", "Reuse H")[0]
    ends = [numbers.number(by_seed(results, "adapter", s).mean(), 2) for s in ("old", "reuse")]
    assert next(row for row in slope if row[0] == "adapter") == ["adapter", "deep", *ends]


def test_every_method_has_its_values(results: pd.DataFrame) -> None:
    rows = [row for row in headline(results, "zero", METHODS) if row.pair == "v1->v2"]
    view, prepared = table_prep.scope(results), table_prep.prepare(results, "zero")
    heat = charts.heat_map(prepared, rows, table_prep.lifts_by_dataset(prepared, view), view, "x")
    assert values(heat.canvas)["frame:bound"] == "icons n/a, digits n/a"
    assert values(heat.canvas)["frame:prompt"].startswith("icons +")
    slopes = values(charts.slopes(rows, view, "v1", "v2").canvas)
    assert set(slopes) == {"name:prompt", "name:prompt-b", "name:adapter"}
    old, reuse = (by_seed(results, "adapter", strategy).mean() for strategy in ("old", "reuse"))
    assert slopes["name:adapter"] == f"old {old:.1f}, reused {reuse:.1f}"


@pytest.mark.parametrize(
    ("strength", "dark"), [(0, True), (0.45, True), (0.6, True), (-0.6, True), (0.9, False), (-1, False)]
)
def test_numbers_in_cells_can_be_read(strength: float, dark: bool) -> None:
    text = charts._readable(colormaps[charts.COLOURS]((strength + 1) / 2))
    assert text == (BLACK if dark else PAPER)


def test_figures_are_absent_without_data(results: pd.DataFrame) -> None:
    rows = headline(all_failed(results), "zero", METHODS)
    view = table_prep.scope(results)
    prepared = table_prep.prepare(all_failed(results), "zero")
    assert charts.slopes(rows, view, "v1", "v2") is None
    assert charts.heat_map(prepared, rows, table_prep.lifts_by_dataset(prepared, view), view, "x") is None
