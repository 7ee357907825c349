"""Rows of the other protocols."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd
import pytest
from fixtures.results import (
    SHIFTED,
    Page,
    by_seed,
    half_width,
    mean,
    page,
    result,
)

from benchmark.report import numbers, sections, table_prep
from benchmark.report.table_prep import prepare
from benchmark.results import summary

SHIFTS = ("Method", "Old", "Reuse", "Retrain", "Zero-shot new", "Lift", "Verdict")


def test_shifted_test_sets(results: pd.DataFrame, text: str) -> None:
    headings = ("Method", "Old", "Reuse", "Retrain", "Zero-shot new", "Lift", "Verdict")
    own, shifted, *_ = Page(text).rows(*headings)
    where = {"protocol": "domain", "split": "all"}
    line = next(row for row in own if row[0] == "prompt")
    assert line[2] == numbers.number(by_seed(results, "prompt", "reuse", **where).mean())
    line = next(row for row in shifted if row[0] == "prompt")
    both = [by_seed(results, "prompt", "reuse", test_set=v, **where) for v in SHIFTED["icons"]]
    zero = [by_seed(results, "zero", "reuse", test_set=v, **where) for v in SHIFTED["icons"]]
    lift = (both[0] + both[1] - zero[0] - zero[1]) / 2
    assert line[2] == numbers.number((both[0] + both[1]).mean() / 2)
    assert line[5] == f"{numbers.signed(lift.mean())} \N{PLUS-MINUS SIGN} {numbers.number(half_width(lift, methods=4))}"
    each = Page(text).rows("Trained on", "Tested on", *headings)[0]
    line = next(row for row in each if row[1:3] == ["icons-bold", "prompt"])
    assert line[4] == numbers.number(by_seed(results, "prompt", "reuse", test_set="icons-bold", **where).mean())


def test_shifted_test_sets_name_incompatible_methods(results: pd.DataFrame) -> None:
    gone = (results.method == "adapter") & (results.strategy == "old")
    for part in (results, results[~gone]):  # with figures on the old backbone, and without any
        rows = [row for row in sections.shifts(prepare(part, "zero"), "v1->v5") if row.label == "adapter"]
        found = {row.test_set: row.verdict for row in rows}
        assert found[sections.OWN] == found[sections.SHIFTED] == "incompatible"


def section(text: str, anchor: str) -> str:
    """One section of a page."""
    return next(part for part in re.split(r"<section ", text) if part.startswith(f'id="{anchor}"'))


@pytest.mark.usefixtures("undrawn")
def test_few_shot_has_a_table_for_each_number_of_shots(shots: pd.DataFrame) -> None:
    part = section(page(shots), "few-shot")
    captions = re.findall(r"<caption[^>]*>([^<]*)</caption>", part)
    assert [caption.split(", ", 1)[1].split(":")[0] for caption in captions] == [
        f"few-shot, {count}" for count in ("1 shot", "4 shots", "16 shots")
    ]
    tables = Page(part).rows(*SHIFTS)
    for table, count in zip(tables, (1, 4, 16), strict=True):
        lines = {row[0]: row for row in table}
        assert next(iter(lines)) == "zero"
        for method in ("prompt", "adapter") if count > 1 else ("prompt",):
            wanted = [mean(shots, method, strategy, shots=count) for strategy in ("old", "reuse", "retrain")]
            zero = mean(shots, "zero", "reuse", shots=count)
            assert lines[method][1:5] == [numbers.number(value) for value in (*wanted, zero)]
            assert lines[method][5].startswith(numbers.signed(wanted[1] - zero))
    assert next(row for row in tables[0] if row[0].startswith("adapter"))[6] == "no result"
    assert next(row for row in tables[2] if row[0] == "adapter")[6] == "harms"


@pytest.mark.usefixtures("undrawn")
def test_cross_dataset_shows_the_mean_of_the_others_and_each_of_them(cross: pd.DataFrame) -> None:
    part = section(page(cross), "cross-dataset")
    own, others = Page(part).rows(*SHIFTS)
    assert f"{sections.OTHERS}: means over data sets and seeds." in part
    for method in ("zero", "prompt", "adapter"):
        line = next(row for row in own if row[0] == method)
        assert line[2] == numbers.number(mean(cross, method, "reuse", test_set=""))
        line = next(row for row in others if row[0] == method)
        each = [mean(cross, method, "reuse", test_set=name) for name in ("digits", "letters")]
        assert line[2] == numbers.number(sum(each) / 2)
    (details,) = Page(part).rows("Trained on", "Tested on", *SHIFTS)
    assert [row[:3] for row in details if row[2] == "prompt"] == [
        ["icons", "digits", "prompt"],
        ["icons", "letters", "prompt"],
    ]
    line = next(row for row in details if row[1:3] == ["letters", "adapter"])
    assert line[4] == numbers.number(mean(cross, "adapter", "reuse", test_set="letters"))
    assert line[8] == "harms"


def test_failures_are_grouped_by_pair_status_and_cause() -> None:
    def bad(
        method: str, reason: str, *, pair: tuple[str, str] = ("v1", "v5"), seed: int = 1, **change: str
    ) -> dict[str, Any]:
        row = {"status": "incompatible", "reason": reason, **change}
        return result(pair, method, "icons", seed, "reuse", **row)

    rows = [
        bad("b", "up is 5 x 128 in the module but must be 5 x 96 on v5"),
        bad("b", "up is 5 x 128 in the module but must be 5 x 96 on v5", seed=2),
        bad("a", "w is 8 in the module but must be 6 on v5", config="lr=1"),
        bad("c", "it needs images"),
        bad("d", "it needs images"),
        bad("d", "it needs images", status="failed"),
        bad("d", "it needs images", pair=("v1", "v2")),
        result(("v1", "v5"), "e", "icons", 1, "reuse", value=1.0),
    ]
    backbones = [{"name": "v1", "embed_dim": 128}, {"name": "v5", "embed_dim": 96}]
    found = sections.failures(table_prep.clean(pd.DataFrame(rows, columns=summary.COLUMNS)), backbones)
    assert [(row.pair, row.cause, row.status, row.methods, row.count) for row in found] == [
        ("v1 → v5", "embedding width 128 → 96", "incompatible", ("b", "a (lr=1)"), 3),
        ("v1 → v5", "it needs images", "incompatible", ("c", "d"), 2),
        ("v1 → v5", "it needs images", "failed", ("d",), 1),
        ("v1 → v2", "it needs images", "incompatible", ("d",), 1),
    ]
    assert found[0].reasons == (
        "b: up is 5 x 128 in the module but must be 5 x 96 on v5",
        "a (lr=1): w is 8 in the module but must be 6 on v5",
    )
    assert found[1].reasons == ()
