"""What the page says of one method, against the numbers of the made-up run."""

from __future__ import annotations

import re

import pandas as pd
import pytest
from fixtures.results import DATASETS, METHODS, by_seed, page

from benchmark.report import method_view, numbers, table_prep
from benchmark.report.method_rows import headline


@pytest.fixture(scope="module")
def told(results: pd.DataFrame) -> dict[str, list[str]]:
    """Sentences on the first upgrade, by method."""
    prepared = table_prep.prepare(results, "zero")
    view = table_prep.scope(results)
    rows = [row for row in headline(results, "zero", METHODS) if row.pair == "v1->v2"]
    lifts = table_prep.lifts_by_dataset(prepared, view)
    keys = {row.label: (row.pair, row.method, row.config) for row in rows}
    return {row.label: method_view.sentences(row, rows, view, lifts.get(keys[row.label], {})) for row in rows}


def test_sentences_have_the_values_of_the_method(told: dict[str, list[str]], results: pd.DataFrame) -> None:
    old, reuse, retrain = (by_seed(results, "adapter", name).mean() for name in ("old", "reuse", "retrain"))
    zero = by_seed(results, "zero", "reuse")
    lift = (by_seed(results, "adapter", "reuse") - zero).mean()
    text = " ".join(told["adapter"])
    assert (
        f"For adapter: reused it has H {reuse:.1f}, zero-shot has {zero.mean():.1f}; lift {numbers.signed(lift)} [" in text
    )
    assert "for one method that was chosen before the run, and lies below zero." in text
    assert "corrected for 3 methods: harms." in text  # not the one of training classes, which has no interval
    assert (
        f"it had {old:.1f} (gain {numbers.signed(reuse - old)}); retrained on the new backbone it has {retrain:.1f}." in text
    )
    assert "% from right to wrong (zero-shot " in text


def test_data_sets_are_named_the_worst_first(told: dict[str, list[str]], results: pd.DataFrame) -> None:
    lifts = {
        name: (
            by_seed(results[results.dataset == name], "adapter", "reuse")
            - by_seed(results[results.dataset == name], "zero", "reuse")
        ).mean()
        for name in DATASETS
    }
    worst, other = sorted(lifts, key=lambda name: lifts[name])
    expected = f"below zero on 2 of 2: {worst} {numbers.signed(lifts[worst])}, {other} {numbers.signed(lifts[other])}."
    assert any(sentence.endswith(expected) for sentence in told["adapter"])


def test_what_has_no_lift_says_why(told: dict[str, list[str]], results: pd.DataFrame) -> None:
    assert told["zero"] == ["For zero: H goes from 61.5 to 66.5 (+5.0)."]
    assert told["bound"][0].startswith("For bound: training classes only (no value on new classes; lift on base classes ")
    rows = [row for row in headline(results, "zero", METHODS) if row.pair == "v1->v5"]
    adapter = next(row for row in rows if row.label == "adapter")
    sentences = method_view.sentences(adapter, rows, table_prep.scope(results), {})
    assert sentences == ["For adapter: incompatible (incompatible: needs 128, has <96>)."]


def test_one_seed_has_no_interval(results: pd.DataFrame) -> None:
    part = results[(results.seed == 1) & (results.new == "v2")]
    rows = headline(part, "zero", METHODS)
    prompt = next(row for row in rows if row.label == "prompt")
    sentences = method_view.sentences(prompt, rows, table_prep.scope(part), {})
    assert "[" not in sentences[0]
    assert sentences[1] == "With fewer than two seeds there is no interval and no verdict."


@pytest.mark.usefixtures("undrawn")
def test_the_page_has_a_view_of_every_method_and_shows_none(results: pd.DataFrame) -> None:
    text = page(results)
    assert set(re.findall(r'data-view="([^"]*)" hidden', text)) == set(METHODS)
    assert set(re.findall(r'data-view="([^"]*)">', text)) == {""}
    assert (
        '<p class="answer" data-view="adapter" hidden>adapter harms on v1 \N{RIGHTWARDS ARROW} v2 and is incompatible on'
        in text
    )
