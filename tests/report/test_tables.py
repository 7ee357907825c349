"""The tables of the report: their values are those of the data."""

from __future__ import annotations

import re
from dataclasses import replace

import pandas as pd
import pytest
from fixtures.results import (
    ABOUT,
    HEADLINE,
    METHODS,
    PAIRS,
    Page,
    by_seed,
    lift_half_width,
    page,
)

from benchmark.report import export, numbers, tables
from benchmark.report import page as page_module
from benchmark.report.method_rows import headline
from benchmark.report.model import CapabilityRow
from benchmark.report.table import Text
from benchmark.results import metric
from benchmark.results import summary as results_summary
from benchmark.results.metric import Metric, all_metrics
from benchmark.results.provenance import PublishedRow
from benchmark.training.evaluation import Predictions


def test_headline_values(results: pd.DataFrame, text: str) -> None:
    table = Page(text).rows(*HEADLINE)[0]
    for method in ("prompt", "prompt-b", "adapter"):
        line = next(row for row in table if row[0] == method)
        cells = [by_seed(results, method, s, split=split).mean() for s in ("reuse", "old") for split in ("base", "new", "H")]
        cells.append(by_seed(results, method, "retrain").mean())
        assert line[5:12] == [numbers.number(value) for value in cells]
        lift = by_seed(results, method, "reuse") - by_seed(results, "zero", "reuse")
        assert (
            line[2]
            == f"{numbers.signed(lift.mean())} \N{PLUS-MINUS SIGN} {numbers.number(lift_half_width(results, method))}"
        )
        gain = by_seed(results, method, "reuse").mean() - by_seed(results, method, "old").mean()
        assert re.fullmatch(rf"{re.escape(numbers.signed(gain))} ± \d+\.\d", line[3])
        retrain_lift = (by_seed(results, method, "retrain") - by_seed(results, "zero", "reuse")).mean()
        assert re.fullmatch(rf"{numbers.number(100 * lift.mean() / retrain_lift, 0)} %.? ?\S+ to \S+", line[4]), line[4]
        for column, name in ((12, method), (13, "zero")):
            flips = [by_seed(results, name, "reuse", split=s, metric="negative_flip").mean() for s in ("base", "new")]
            assert line[column] == numbers.number(sum(flips) / 2)


def test_baseline_is_first_and_has_no_verdict(text: str) -> None:
    for table in Page(text).rows(*HEADLINE):
        assert table[0][0] == "zero"
        assert (table[0][2], table[0][4], table[0][1]) == (numbers.DASH, numbers.DASH, "baseline")
        assert table[0][5:8] == [numbers.number(66.5)] * 3


def test_an_incompatible_method_says_why(text: str) -> None:
    line = next(row for row in Page(text).rows(*HEADLINE)[1] if row[0] == "adapter")
    assert line[2:8] == [numbers.DASH] * 6
    assert "incompatible" in line[1]
    assert "needs 128, has <96>" in line[1]
    headings = ("Upgrade", "Cause", "Status", "Evaluations", "Methods", "Strategies", "Data sets", "Recorded reasons")
    failed = Page(text).rows(*headings)[0]
    cells = [
        "v1 → v5",
        "needs 128, has <96>1 method",
        "incompatible",
        "24",
        "adapter",
        "reuse, retrain",
        "icons, digits",
        "",
    ]
    assert failed == [cells]


def test_costs(text: str) -> None:
    headings = ("Method", "Runs", "Median time", "Total time", "Learnt parameters", "Peak memory, MB")
    assert Page(text).rows(*headings)[0] == [["prompt", "3", "2.0 s", "12.0 s", "1,024 to 2,048", "302"]]


# --- other metrics -----------------------------------------------------------------------------------------------------


def with_metric(results: pd.DataFrame, name: str) -> pd.DataFrame:
    """The results with one more metric, which is a tenth of the accuracy."""
    rows = results[(results.metric == "accuracy") & (results.status == "ok")]
    return pd.concat([results, rows.assign(metric=name, value=rows.value / 10)])


class Tenth(Metric):
    """A metric of this test."""

    name, label, order, unit = "tenth", "tenth of accuracy", 90, "points"
    higher_is_better = False
    description = "A tenth of it."

    def value(self, predictions: Predictions) -> float:
        return predictions.accuracy / 10


@pytest.mark.usefixtures("undrawn")
def test_a_new_metric_has_its_columns_and_its_explanation(results: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    every = (*all_metrics(), Tenth())
    for module in (metric, page_module, tables, results_summary):
        monkeypatch.setattr(module, "all_metrics", lambda: every)
    part = with_metric(results[results.new == "v2"], "tenth")
    text = page(part, about=replace(ABOUT, pairs=PAIRS[:1]))
    assert "Tenth of accuracy, points (lower is better)" in text
    assert "A tenth of it. In points; lower is better." in text
    ends = ["Method", "Method", "Zero-shot", *["Old", "Reuse", "Zero-shot"] * 2]
    (table,) = Page(text).rows(*ends)
    line = next(row for row in table if row[0] == "prompt")
    for column, name, strategy in ((6, "prompt", "old"), (7, "prompt", "reuse"), (8, "zero", "reuse")):
        assert line[column] == numbers.number(by_seed(part, name, strategy).mean() / 10)


@pytest.mark.usefixtures("undrawn")
def test_a_metric_that_this_version_does_not_know_is_shown_by_its_name(results: pd.DataFrame) -> None:
    part = with_metric(results[results.new == "v2"], "mystery")
    rows = headline(part, "zero", METHODS)
    table = tables.metrics_table(rows, ["positive_flip", "mystery"], "v1 → v2")
    assert table is not None
    assert table.header()[-3:] == ["mystery old", "mystery reuse", "mystery zero-shot"]
    assert "mystery" in page(part, about=replace(ABOUT, pairs=PAIRS[:1]))


def test_metrics_of_the_headline_are_not_repeated(results: pd.DataFrame) -> None:
    rows = headline(results, "zero", METHODS)
    assert tables.metrics_table(rows, ["negative_flip"], "x") is None
    other = tables.metrics_table(rows, ["negative_flip", "ece"], "x")
    assert {column.group for column in other.columns if column.group} == {"Calibration error (ECE)"}


def test_published_values_have_their_difference_and_a_flag() -> None:
    table = tables.published_table(
        [PublishedRow("b", "coop", "base accuracy", 80.0, 77.5, "templates", "a paper", wrong=True)]
    )
    assert export.csv(table).splitlines()[1] == "b,coop,base accuracy,80.0,77.5,-2.5,templates,a paper"
    assert [cell.note for cell in table.rows[0] if isinstance(cell, Text)] == [
        "Too far off: check weights, activation and data"
    ]


def test_capabilities_are_words() -> None:
    row = CapabilityRow("Tip", "images", "vision", "deep", False, (True, False, True), True, "N d", 1.5)
    table = tables.capability_table([row], "CoOp")
    assert dict(zip(table.header(), table.body()[0], strict=True)) == {
        "Method": "Tip",
        "Changes features of": "images",
        "Towers run in training": "vision",
        "Learns": "deep",
        "Unseen classes": "no",
        "Other embedding width": "fits",
        "Other text width": "no",
        "Other kind of image tower": "fits",
        "Keeps images": "yes",
        "Training time, CoOp = 1": 1.5,
        "Learnt parameters": "N d",
    }
