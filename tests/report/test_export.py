"""What stands beside the page: Markdown, tables, figures; and the words of the summary and of the analyses."""

from __future__ import annotations

import csv
import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fixtures.results import ABOUT, ABOUTS, METHODS, PAIRS, cell

from benchmark.analysis.findings import ANALYSES, Finding, Made, load, merge, save
from benchmark.config.errors import UserError
from benchmark.report import curves, export, pareto, studies, summary, words, write
from benchmark.report.drawing import front, inline
from benchmark.report.model import BASE_TO_NEW, Answer, Grid, Interval, MethodRow, Strategy
from benchmark.report.page import render
from benchmark.results.summary import COLUMNS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(7)
    rows = [
        row
        for pair in PAIRS
        for method in METHODS
        for dataset in ABOUTS
        for seed in (1, 2, 3)
        for strategy in ("old", "reuse", "retrain")
        if method != "zero" or strategy != "retrain"
        for row in cell(rng, pair, method, dataset, seed, strategy)
    ]
    place = tmp_path_factory.mktemp("files")
    runs = pd.DataFrame(columns=["kind", "method", "config", "status", "seconds", "peak_mb", "parameters"])
    write(place / "compat.html", pd.DataFrame(rows), runs, ABOUT, METHODS, ABOUTS)
    return place


def test_every_figure_is_there_twice_and_stands_alone(folder: Path) -> None:
    svgs, pdfs = (sorted((folder / "compat" / "figures").glob(f"*.{kind}")) for kind in ("svg", "pdf"))
    assert [file.stem for file in svgs] == [file.stem for file in pdfs]
    assert len(svgs) == 1 + 4 * len(PAIRS)
    assert all(file.read_bytes().startswith(b"%PDF") for file in pdfs)
    for file in svgs:
        text = file.read_text(encoding="utf-8")
        assert text.startswith("<?xml")
        assert "var(--" not in text  # a file of its own knows no page's colours


def test_tables_say_what_the_page_says(folder: Path) -> None:
    tables = folder / "compat" / "tables"
    with (tables / "upgrade-v1-v2.csv").open(encoding="utf-8") as file:
        rows = {row["Method"]: row for row in csv.DictReader(file)}
    assert rows["Prompt"]["Verdict"] == "helps"
    assert rows["Adapter"]["Verdict"] == "harms"
    page = (folder / "compat.html").read_text(encoding="utf-8")
    assert f">{rows['Prompt']['Reuse H']}</td>" in page
    tex = (tables / "upgrade-v1-v2.tex").read_text(encoding="utf-8")
    assert r"\toprule" in tex
    assert f"{float(rows['Prompt']['Reuse H']):.1f}" in tex
    overview = (tables / "lift-in-h-on-all-upgrades.csv").read_text(encoding="utf-8")
    assert "incompatible" in overview


def test_markdown_has_the_answer_the_tables_and_the_commands(folder: Path) -> None:
    text = (folder / "compat.md").read_text(encoding="utf-8")
    assert "keep Prompt" in text
    assert "| Method | Old base |" in text
    for name in ANALYSES:
        assert f"analyse {name} " in text
    for line in text.splitlines():
        if line.startswith("!["):
            assert (folder / line.partition("(")[2].rstrip(")")).is_file(), line


def test_latex_escapes_and_aligns() -> None:
    grid = Grid("t", ("A & B", "x_1"), (("50 % → {y}", 1.25), ("−", math.nan)))
    text = export.latex(grid)
    assert r"A \& B & x\_1 \\" in text
    assert r"50 \% $\rightarrow$ \{y\} & 1.2 \\" in text
    assert r"\begin{tabular}{lr}" in text


def test_markdown_table_escapes_bars() -> None:
    text = export.markdown_table(Grid("t", ("a|b", "n"), (("c|d", 2.0),)))
    assert text == "| a\\|b | n |\n| --- | ---: |\n| c\\|d | 2.0 |\n"


def test_inline_figures_take_the_pages_colours() -> None:
    text = '<?xml?><svg width="72pt" viewBox="0 0 1 1" xmlns="x"><path style="fill: #1d2329; stroke: #123456"/></svg>'
    found = inline(text, "A <title>")
    assert "fill: var(--ink, #1d2329)" in found
    assert "stroke: #123456" in found
    assert 'aria-label="A &lt;title&gt;"' in found
    assert "width:96px" in found


# --- the summary -----------------------------------------------------------------------------------------------------


def row(name: str, verdict: str, lift: float, *, retrain: float = math.nan, kept: Interval | None = None) -> MethodRow:
    reuse = Strategy(50 + lift)
    interval = Interval(lift, lift - 2, lift + 2)
    return MethodRow(
        "a->b",
        name,
        "default",
        name.title(),
        "deep",
        reuse=reuse,
        zs_new=50.0,
        lift=interval,
        verdict=verdict,
        retrain=retrain,
        retained=kept or Interval(),
    )


def test_answer_keeps_the_best_that_helps() -> None:
    rows = [
        row("one", "undecided", 9.0),
        row("two", "helps", 5.0, kept=Interval(0.71, 0.63, 0.78)),
        row("three", "harms", -4.0),
        row("four", "incompatible", math.nan),
    ]
    found = summary.answer("a → b", "pair-1", rows, BASE_TO_NEW)
    assert (found.decision, found.kind) == ("keep Two", "helps")
    assert found.sentence == (
        "Two keeps 71 % [63, 78] of what retraining would bring (+5.0 ± 2.0 points of H); 1 of 3 methods helps, 1 does "
        "harm, 1 more does not fit."
    )


@pytest.mark.parametrize(
    ("verdicts", "retrained", "decision", "kind"),
    [
        (["harms", "harms", "undecided"], 5.0, "do not reuse: retrain", "harms"),
        (["harms", "undecided", "undecided"], 5.0, "retrain", "harms"),
        (["undecided", "no effect"], 5.0, "retrain", "undecided"),
        (["undecided", "no effect"], 0.5, "use no module", "undecided"),
        (["harms", "harms"], -3.0, "do not reuse: use no module", "harms"),
        (["incompatible"], 5.0, "no figures", "undecided"),
    ],
)
def test_answer_where_nothing_helps(verdicts: list[str], retrained: float, decision: str, kind: str) -> None:
    lifts = {"harms": -5.0, "incompatible": math.nan}
    rows = [row(f"m{i}", verdict, lifts.get(verdict, 0.1), retrain=50 + retrained) for i, verdict in enumerate(verdicts)]
    found = summary.answer("a", "x", rows, BASE_TO_NEW)
    assert (found.decision, found.kind) == (decision, kind)


def test_headline_names_the_upgrades() -> None:
    answers = [Answer(pair, "", "", kind, "") for pair, kind in (("a", "helps"), ("b", "harms"), ("c", "helps"))]
    assert summary.headline(answers) == (
        "Some modules are worth keeping at 2 of 3 upgrades (a, c). "
        "No module surely helps and some do harm at 1 of 3 upgrades (b)."
    )


def test_mean_over_upgrades_takes_errors_for_one_and_the_same() -> None:
    found = summary.mean_lift([Interval(4, 2, 6), Interval(-2, -6, 2)])
    assert (found.mean, found.low, found.high) == (1, -2, 4)
    assert not summary.mean_lift([Interval(4), Interval(2, 1, 3)]).known


def test_overview_puts_first_what_works_everywhere() -> None:
    first = [row("one", "helps", 9.0), row("two", "helps", 1.0)]
    second = [row("one", "incompatible", math.nan), row("two", "undecided", 3.0)]
    found = summary.overview([first, second])
    assert [(each.method, each.pairs, each.mean.mean) for each in found] == [("two", 2, 2.0), ("one", 1, 9.0)]


def test_key_numbers_count_what_can_be_reused() -> None:
    rows = [
        row("one", "helps", 4.0, retrain=60.0),
        row("two", "harms", -6.0, retrain=50.0),
        row("x", "incompatible", math.nan),
    ]
    found = summary.key_numbers(summary.overview([rows]), 1, BASE_TO_NEW)
    assert [each.value for each in found] == ["1 of 2", "+4.0 ± 2.0", f"{words.MINUS}6.0"]


def test_front_holds_what_nothing_beats() -> None:
    assert front([(1, 1), (2, 5), (3, 4), (4, 9), (1, 0)]) == [0, 1, 3]
    assert front([]) == []


# --- the analyses ----------------------------------------------------------------------------------------------------


def curve(gaps: dict[int, float], half: float = math.inf) -> pd.DataFrame:
    rows = [
        {"amount": amount, "over_reuse": gap, "over_reuse_low": gap - half, "over_reuse_high": gap + half}
        for amount, gap in gaps.items()
    ]
    return pd.DataFrame(rows, columns=["amount", "over_reuse", "over_reuse_low", "over_reuse_high"])


@pytest.mark.parametrize(
    ("gaps", "half", "expected"),
    [
        ({0: -4, 5: -2, 20: 2, 100: 3}, 1.0, "12 (5 to 20)"),
        ({0: -4, 5: -2, 20: 2, 100: 3}, 2.5, "12 (0 to 100)"),
        ({0: -4, 5: -2, 20: -1}, math.inf, "more than 20"),
        ({0: -4, 5: -2, 20: -1}, 1.5, "more than 20 (5 to beyond)"),
        ({0: 1, 5: 2}, 0.1, "0"),
        ({}, 1.0, studies.NO_STEPS),
    ],
)
def test_break_even_by_hand(gaps: dict[int, float], half: float, expected: str) -> None:
    assert studies.break_even(curve(gaps, half)) == expected


def test_rank_correlation() -> None:
    x = pd.Series([1.0, 2, 3, 4, 5, 6, 7, 8])
    rho, low, high = studies.rank_correlation(x, pd.Series([2.0, 1, 4, 3, 6, 5, 8, 7]))
    assert rho == pytest.approx(1 - 6 * 8 / (8 * 63))  # eight differences of one rank
    assert -1 < low < rho < high < 1
    assert studies.rank_correlation(x, -x) == (-1, -1, -1)
    assert all(math.isnan(value) for value in studies.rank_correlation(x[:3], x[:3]))


def test_rank_correlation_covers() -> None:
    """Normal pairs with a known Spearman correlation, (6 / pi) asin(rho / 2), twelve at a time."""
    rng, truth = np.random.default_rng(3), 6 / math.pi * math.asin(0.25)
    inside = 0
    for _ in range(400):
        x = rng.normal(size=12)
        y = 0.5 * x + math.sqrt(0.75) * rng.normal(size=12)
        _, low, high = studies.rank_correlation(pd.Series(x), pd.Series(y))
        inside += low <= truth <= high
    assert inside / 400 >= 0.93


def test_an_analysis_that_was_not_run_says_how() -> None:
    found = studies.views({})
    assert [view.name for view in found] == list(ANALYSES)
    assert all(view.command == f"python run_benchmark.py analyse {view.name} --upgrade-pairs pairs.yaml" for view in found)
    assert not any(view.made for view in found)
    (first, *_) = studies.views({}, "python run_benchmark.py --upgrade-pairs=mine.yaml --seeds 1")
    assert first.command.endswith("--upgrade-pairs mine.yaml")


def test_drift_is_told_from_its_table() -> None:
    rows = [
        ("v1->v2", tower, order, stage, metric, 1 - 0.1 * order, 8)
        for tower in ("text", "vision")
        for order, stage in enumerate(("input", "block 1", "block 2", "output"))
        for metric in ("change", "cka", "cosine")
    ]
    table = pd.DataFrame(rows, columns="pair tower order stage metric value n".split())
    made = Made("cmd", "2025-01-01", 3.0, "icons", "Icons", (1, 2), "cpu", "toy")
    view = studies.views({"drift": [Finding(table, made)]})[0]
    assert "0.90 after the first block and 0.80 after the last (falls with depth), 0.70 at the output" in view.findings[0]
    assert len(view.figures) == 2
    assert view.warning == "toy"
    assert len(view.grids[0].rows) == 24


def test_depth_draws_what_lift_loses() -> None:
    rows = [
        {
            "pair": "a->b",
            "method": "m",
            "title": "M",
            "order": order,
            "place": f"layer {order}",
            "status": "ok",
            "reason": "",
        }
        | {"old": 50.0, "reuse": 60.0, "zs_old": 45.0, "zs_new": 52.0, "lift": 8.0, "lift_low": 7.0, "lift_high": 9.0}
        | {"change": 3.0 - order, "change_low": 1.0 - order, "change_high": 5.0 - order}
        for order in range(3)
    ]
    figure = curves.depth(pd.DataFrame(rows))
    assert figure is not None
    drawn = next(line for line in figure.canvas.axes[0].lines if len(line.get_ydata()) == 3)
    assert list(drawn.get_ydata()) == [3.0, 2.0, 1.0]
    assert [row[3:] for row in figure.data] == [(3.0, 1.0, 5.0), (2.0, 0.0, 4.0), (1.0, -1.0, 3.0)]


def test_repairs_are_shown_for_the_methods_that_allow_them() -> None:
    """Seven methods allow reuse and retraining; three of them a third way, which has a figure of its own."""
    rows = [
        {"pair": "a->b", "title": f"M{i}", "strategy": strategy, "label": strategy, "seconds": seconds, "images": 0.0}
        | {"lift": lift + i, "over_reuse": lift, "accuracy": 50.0}
        for i in range(7)
        for strategy, seconds, lift in (("reuse", 0.0, 0.0), ("retrain", 2.0, 4.0), ("remap", 0.5, 6.0))
        if strategy != "remap" or i < 3
    ]
    first, second = pareto.figures(pd.DataFrame(rows))
    assert [row[1:] for row in first.data] == [("reuse", 0.0, 0.0, 3.0, "yes"), ("retrain", 2.0, 0.0, 7.0, "yes")]
    assert {row[1]: (row[4], row[5]) for row in second.data} == {
        "reuse": (1.0, "yes"),
        "retrain": (5.0, ""),
        "remap": (7.0, "yes"),
    }


def test_findings_of_two_data_sets_stand_side_by_side(tmp_path: Path) -> None:
    table = pd.DataFrame(
        [("a->b", "text", 0, "input", "cka", 0.5, 8)], columns="pair tower order stage metric value n".split()
    )
    for name in ("icons", "digits"):
        save(tmp_path / "one", "drift", Finding(table, Made("c", "d", 1.0, name, name.title(), (1,), "cpu")))
    found = load(tmp_path / "one")
    views = [view for view in studies.views(found) if view.name == "drift"]
    assert [view.title for view in views] == ["Drift of the backbone: Digits", "Drift of the backbone: Icons"]
    assert [view.anchor for view in views] == ["drift", "drift-icons"]
    names = [figure.name for view in views for figure in view.figures]
    assert len(names) == len(set(names)) == 2
    runs = pd.DataFrame(columns=["kind", "method", "config", "status", "seconds", "peak_mb", "parameters"])
    text = render(pd.DataFrame(columns=COLUMNS), runs, ABOUT, METHODS, ABOUTS, findings=found)
    ids = re.findall(r'id="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    with pytest.raises(UserError, match="both have the analysis 'drift' of digits"):
        merge({tmp_path / "one": found, tmp_path / "two": found})


@pytest.mark.parametrize("damage", ["no json", "torn"])
def test_a_broken_finding_is_one_line(tmp_path: Path, damage: str) -> None:
    table = pd.DataFrame(
        [("a->b", "text", 0, "input", "cka", 0.5, 8)], columns="pair tower order stage metric value n".split()
    )
    file = save(tmp_path, "drift", Finding(table, Made("c", "d", 1.0, "icons", "Icons", (1,), "cpu"))).with_suffix(".json")
    file.unlink() if damage == "no json" else file.write_text("{")
    with pytest.raises(UserError, match=r"drift-icons\.csv cannot be read.*run 'analyse drift' again"):
        load(tmp_path)


def test_what_repairs_are_compared_with_is_no_repair() -> None:
    rows = [
        {
            "pair": "a->b",
            "method": "m",
            "title": "M",
            "strategy": strategy,
            "label": strategy,
            "accuracy": 50.0,
            "reuse": 45.0,
        }
        | {"zs_new": 44.0, "lift": 6.0, "lift_low": 5.0, "lift_high": 7.0, "images": 0.0, "labels": 0.0, "steps": 0.0}
        | {"over_reuse": gain, "over_reuse_low": gain - 1, "over_reuse_high": gain + 1, "seconds": 1.0, "seeds": 2}
        | {"status": "ok", "reason": ""}
        for strategy, gain in (("reuse", 0.0), ("warm-start-5", 3.0), ("scratch-5", 9.0), ("retrain", 8.0))
    ]
    finding = Finding(pd.DataFrame(rows), Made("c", "d", 1.0, "icons", "Icons", (1, 2), "cpu"))
    (view,) = [each for each in studies.views({"repair": [finding]}) if each.name == "repair"]
    assert view.findings[0] == (
        "a → b: of 1 repair, 1 surely better than plain reuse, 0 surely worse (each interval by itself). "
        "Best on average is warm-start-5 (+3.0 points over reuse)."
    )
    assert studies.cheapest([finding]) == {
        "a → b": "Over reuse on Icons, on average: warm-start-5 +3.0 (1.0 s), retrain +8.0 (1.0 s)."
    }
