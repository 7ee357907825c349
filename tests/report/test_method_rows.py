"""One row for each method: verdicts, ranks, order, and what is missing."""

from __future__ import annotations

import io
import math
from dataclasses import replace

import pandas as pd
import pytest
from fixtures.results import (
    DATASETS,
    METHODS,
    PAIRS,
    SEEDS,
    by_seed,
    lift_half_width,
    mean,
    page,
    result,
)
from rich.console import Console
from rich.table import Table as RichTable

from benchmark.cli import console
from benchmark.report import (
    table_prep,
)
from benchmark.report.method_rows import headline
from benchmark.report.model import BOUND, Accuracies


def test_verdicts_ties_and_order(results: pd.DataFrame) -> None:
    rows = [row for row in headline(results, "zero", METHODS) if row.pair == "v1->v2"]
    found = {row.method: (row.verdict, row.place) for row in rows}
    assert found["prompt"] == found["prompt-b"] == ("helps", "tied with the best")
    assert found["adapter"] == ("harms", "")
    assert found["bound"] == (BOUND, "")
    reuse = [row.reuse.main for row in rows if not row.baseline and math.isfinite(row.reuse.main)]
    assert reuse == sorted(reuse, reverse=True)
    assert rows[-1].method == "bound"


def test_best_alone_is_not_tied(results: pd.DataFrame) -> None:
    rows = headline(results[results.method != "prompt-b"], "zero", METHODS)
    assert [row.place for row in rows if row.method == "prompt"] == ["best", "best"]


@pytest.mark.usefixtures("undrawn")
def test_missing_cells_are_said_and_kept_out_of_the_race(results: pd.DataFrame) -> None:
    gone = (results.method == "prompt") & (results.seed == 2) & (results.dataset == "icons") & (results.strategy == "reuse")
    lost = result(PAIRS[0], "prompt", "icons", 2, "reuse", status="oom", reason="full")
    part = pd.concat([results[~gone], pd.DataFrame([lost])])
    row = next(row for row in headline(part, "zero", METHODS) if row.method == "prompt")
    assert (row.missing, row.cells, row.place) == (1, 6, "")
    assert "1 of 6 cells have no value (oom: full)" in page(part)
    kept = {(d, s) for d in DATASETS for s in SEEDS} - {("icons", 2)}
    old = part[(part.method == "prompt") & (part.strategy == "old") & (part.split == "H") & (part.new == "v2")]
    old = old[old.metric == "accuracy"]
    old = old[[pair in kept for pair in zip(old.dataset, old.seed, strict=True)]]
    assert row.old.main == pytest.approx(old.groupby("seed").value.mean().mean())
    assert math.isnan(row.retained.mean)


@pytest.mark.usefixtures("undrawn")
def test_one_seed_is_not_judged(results: pd.DataFrame) -> None:
    part = results[results.seed == 1]
    rows = headline(part, "zero", METHODS)
    assert {row.verdict for row in rows if not row.baseline and row.reuse.main == row.reuse.main} == {"undecided"}
    assert not any(row.place for row in rows)
    text = page(part)
    assert "which is not a ranking" in text
    assert "fewer than two seeds" in text


def test_one_seed_with_a_failed_cell_is_undecided_not_absent(results: pd.DataFrame) -> None:
    part = results[(results.seed == 1) & ~((results.method == "prompt") & (results.dataset == "icons"))]
    part = pd.concat([part, pd.DataFrame([result(PAIRS[0], "prompt", "icons", 1, "reuse", status="timeout")])])
    row = next(row for row in headline(part, "zero", METHODS) if row.method == "prompt")
    assert (row.verdict, row.missing) == ("undecided", 1)


def test_domain_only_headline_is_accuracy(results: pd.DataFrame) -> None:
    part = results[results.protocol == "domain"]
    row = next(row for row in headline(part, "zero", METHODS) if row.method == "bound")
    assert table_prep.scope(part).split == "all"
    assert row.reuse.main == pytest.approx(by_seed(part, "bound", "reuse", protocol="domain", split="all").mean())


@pytest.mark.usefixtures("undrawn")
def test_few_shot_alone_has_the_most_shots_in_its_headline(shots: pd.DataFrame) -> None:
    view = table_prep.scope(shots)
    assert (view.protocol, view.split, view.parts) == ("few-shot, 16 shots", "all", ())
    row = next(row for row in headline(shots, "zero", METHODS) if row.method == "prompt")
    assert row.reuse.main == pytest.approx(mean(shots, "prompt", "reuse", shots=16))
    assert (row.missing, row.cells) == (0, 3)
    assert "Protocol: few-shot, 16 shots." in page(shots)


def test_cross_dataset_alone_is_the_headline(cross: pd.DataFrame) -> None:
    assert table_prep.scope(cross).protocol == "cross-dataset"
    row = next(row for row in headline(cross, "zero", METHODS) if row.method == "prompt")
    assert row.reuse.main == pytest.approx(mean(cross, "prompt", "reuse", test_set="")), "of its own test images"


def test_terminal_summary(results: pd.DataFrame) -> None:
    rows = headline(results, "zero", METHODS)
    text = plain(console.summary_table(rows, table_prep.scope(results)))
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    lift = by_seed(results, "prompt", "reuse") - by_seed(results, "zero", "reuse")
    accuracies = [by_seed(results, "prompt", name).mean() for name in ("old", "reuse", "retrain")]
    line = next(line for line in text.splitlines() if "prompt " in line)
    half = lift_half_width(results, "prompt")
    wanted = [f"{value:.1f}" for value in accuracies] + [f"{lift.mean():+.1f} ± {half:.1f}", "helps"]
    assert [cell.strip() for cell in line.strip("│ ").split("│")] == ["prompt", *wanted]
    baseline = next(line for line in text.splitlines() if "zero " in line)
    assert "no module" in baseline
    assert f"{by_seed(results, 'zero', 'reuse').mean():.1f}" in baseline


def test_the_short_summary_is_on_one_screen(results: pd.DataFrame) -> None:
    """The best and the worst of many methods, and how many are in between."""
    rows = headline(results, "zero", METHODS)
    prompt = next(row for row in rows if row.method == "prompt")
    levels = range(30, 0, -1)
    many = [replace(prompt, method=f"m{level}", label=f"m{level}", reuse=Accuracies(float(level))) for level in levels]
    both = [replace(row, pair=pair) for pair in ("a->b", "a->c") for row in [rows[0], *many]]
    text = plain(console.summary_table(both, table_prep.scope(results), short=True))
    assert len(text.splitlines()) <= 40
    assert ("m30" in text, "m1 " in text, "m15" in text) == (True, True, False)
    assert text.count("(19 more)") == 2
    assert "m15" in plain(console.summary_table(both, table_prep.scope(results)))


def plain(table: RichTable) -> str:
    console = Console(width=80, file=io.StringIO(), force_terminal=False)
    console.print(table)
    return console.file.getvalue()
