"""The report: its figures are the data's, it needs nothing but itself, and no state of the results breaks it."""

from __future__ import annotations

import io
import itertools
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fixtures.results import ABOUT, ABOUTS, DATASETS, LIFTS, METHODS, PAIRS, SEEDS, VARIANTS, info, result
from rich.console import Console
from rich.table import Table
from scipy import stats

from benchmark.cli import console
from benchmark.report import charts, sections, table_prep, tables, words, write
from benchmark.report.model import BOUND
from benchmark.report.page import render
from benchmark.results import summary
from benchmark.results.provenance import About


class Page(HTMLParser):
    """Tables as lists of rows of cell texts, and all start tags with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: list[list[list[str]]] = []
        self._inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self._inside = True

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.tables[-1][-1][-1] += data

    def rows(self, *headings: str) -> list[list[list[str]]]:
        """The bodies of the tables that have exactly these headings in one of their first two rows."""
        return [table[i + 1 :] for table in self.tables for i in (0, 1) if len(table) > i and table[i] == list(headings)]


HEADLINE = ["Method", "Verdict", *["Base", "New", "H"] * 2, "H", "Lift", "Gain", "Retained", "Method", "Zero-shot"]
HEADLINE += ["Old", "Reuse", "Zero-shot"]
RUNS = ["kind", "method", "config", "backbone", "dataset", "protocol", "seed", "status", "seconds", "peak_mb", "parameters"]


def page(results: pd.DataFrame, runs: pd.DataFrame | None = None, about: About = ABOUT, **change: Any) -> str:
    runs = pd.DataFrame(columns=RUNS) if runs is None else runs
    return render(results, runs, about, change.get("methods", METHODS), change.get("datasets", ABOUTS))


@pytest.fixture(scope="module")
def text(results: pd.DataFrame, runs: pd.DataFrame) -> str:
    """The page of all results."""
    return page(results, runs)


def by_seed(results: pd.DataFrame, method: str, strategy: str, new: str = "v2", **where: str) -> pd.Series[float]:
    """Mean over data sets for each seed, computed from the rows alone."""
    where = {"protocol": "base-to-new", "split": "H", "test_set": "", "metric": "accuracy", **where}
    where |= {"method": method, "strategy": strategy, "new": new, "status": "ok"}
    rows = results
    for name, value in where.items():
        rows = rows[rows[name] == value]
    return rows.groupby("seed").value.mean()


def half_width(values: pd.Series[float]) -> float:
    return float(stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values)))


def lift_half_width(results: pd.DataFrame, method: str) -> float:
    """Every data set has its own variance over seeds; degrees of freedom by Welch and Satterthwaite."""
    lifts = [
        by_seed(results, method, "reuse", dataset=name) - by_seed(results, "zero", "reuse", dataset=name)
        for name in DATASETS
    ]
    parts = [each.var(ddof=1) / len(each) / len(lifts) ** 2 for each in lifts]
    freedom = sum(parts) ** 2 / sum(part**2 / (len(each) - 1) for part, each in zip(parts, lifts, strict=True))
    return float(stats.t.ppf(0.975, freedom) * math.sqrt(sum(parts)))


def test_headline_figures(results: pd.DataFrame, text: str) -> None:
    table = Page(text).rows(*HEADLINE)[0]
    for method in ("prompt", "prompt-b", "adapter"):
        line = next(row for row in table if row[0].startswith(METHODS[method].title) and row[0] == METHODS[method].title)
        cells = [by_seed(results, method, s, split=split).mean() for s in ("old", "reuse") for split in ("base", "new", "H")]
        cells.append(by_seed(results, method, "retrain").mean())
        assert line[2:9] == [numbers.number(value) for value in cells]
        lift = by_seed(results, method, "reuse") - by_seed(results, "zero", "reuse")
        assert (
            line[9]
            == f"{numbers.signed(lift.mean())} \N{PLUS-MINUS SIGN} {numbers.number(lift_half_width(results, method))}"
        )
        gain = by_seed(results, method, "reuse").mean() - by_seed(results, method, "old").mean()
        assert re.fullmatch(rf"{re.escape(numbers.signed(gain))} ± \d+\.\d", line[10])
        retrain_lift = (by_seed(results, method, "retrain") - by_seed(results, "zero", "reuse")).mean()
        assert re.fullmatch(rf"{numbers.number(100 * lift.mean() / retrain_lift, 0)} %.? ?\S+ to \S+", line[11]), line[11]
        for column, name in ((12, method), (13, "zero")):
            flips = [by_seed(results, name, "reuse", split=s, metric="negative_flip").mean() for s in ("base", "new")]
            assert line[column] == numbers.number(sum(flips) / 2)
        for column, name, strategy in ((14, method, "old"), (15, method, "reuse"), (16, "zero", "reuse")):
            assert line[column] == numbers.number(by_seed(results, name, strategy, metric="ece").mean())


def test_control_is_first_and_has_no_verdict(text: str) -> None:
    for table in Page(text).rows(*HEADLINE):
        assert table[0][0] == "Zero"
        assert (table[0][9], table[0][11], table[0][1]) == (words.DASH, words.DASH, "baseline")
        assert table[0][5:8] == [numbers.number(66.5)] * 3


def test_verdicts_ties_and_order(results: pd.DataFrame) -> None:
    rows = [row for row in tables.headline(results, "zero", METHODS) if row.pair == "v1->v2"]
    found = {row.method: (row.verdict, row.place) for row in rows}
    assert found["prompt"] == found["prompt-b"] == ("helps", "tied with the best")
    assert found["adapter"] == ("harms", "")
    assert found["bound"] == (BOUND, "")
    reuse = [row.reuse.main for row in rows if not row.baseline and math.isfinite(row.reuse.main)]
    assert reuse == sorted(reuse, reverse=True)
    assert rows[-1].method == "bound"


def test_best_alone_is_not_tied(results: pd.DataFrame) -> None:
    rows = tables.headline(results[results.method != "prompt-b"], "zero", METHODS)
    assert [row.place for row in rows if row.method == "prompt"] == ["best", "best"]


def test_a_method_that_does_not_fit_says_why(text: str) -> None:
    line = next(row for row in Page(text).rows(*HEADLINE)[1] if row[0] == "Adapter")
    assert line[5:8] == [words.DASH] * 3
    assert "incompatible" in line[1]
    assert "needs 128, has <96>" in line[1]
    failed = Page(text).rows("Upgrade", "Method", "Status", "Evaluations", "Strategies", "Data sets", "Reason")[0]
    assert failed == [["v1->v5", "Adapter", "incompatible", "24", "reuse, retrain", "icons, digits", "needs 128, has <96>"]]


def test_missing_cells_are_said_and_kept_out_of_the_race(results: pd.DataFrame) -> None:
    gone = (results.method == "prompt") & (results.seed == 2) & (results.dataset == "icons") & (results.strategy == "reuse")
    lost = result(PAIRS[0], "prompt", "icons", 2, "reuse", status="oom", reason="full")
    part = pd.concat([results[~gone], pd.DataFrame([lost])])
    row = next(row for row in tables.headline(part, "zero", METHODS) if row.method == "prompt")
    assert (row.missing, row.cells, row.place) == (1, 6, "")
    assert "1 of 6 cells have no figure (oom: full)" in page(part)
    kept = {(d, s) for d in DATASETS for s in SEEDS} - {("icons", 2)}
    old = part[(part.method == "prompt") & (part.strategy == "old") & (part.split == "H") & (part.new == "v2")]
    old = old[old.metric == "accuracy"]
    old = old[[pair in kept for pair in zip(old.dataset, old.seed, strict=True)]]
    assert row.old.main == pytest.approx(old.groupby("seed").value.mean().mean())
    assert math.isnan(row.retained.mean)


def test_heat_map_and_slope_data(results: pd.DataFrame, text: str) -> None:
    heat = Page(text).rows("Method", "Icons", "Digits")
    mine = results[(results.new == "v2") & (results.split == "H") & (results.strategy == "reuse")]
    mine = mine[mine.metric == "accuracy"]
    means = mine.groupby(["method", "dataset"]).value.mean()
    expected = [numbers.number(means["prompt", d] - means["zero", d], 2) for d in DATASETS]
    assert next(row for row in heat[0] if row[0] == "Prompt")[1:] == expected
    assert next(row for row in heat[0] if row[0] == "Bound")[1:] == ["n/a", "n/a"]
    assert next(row for row in heat[1] if row[0] == "Adapter")[1:] == ["incompatible", "incompatible"]
    slope = Page(text).rows("Method", "Learns at", "Old H", "Reuse H")[0]
    ends = [numbers.number(by_seed(results, "adapter", s).mean(), 2) for s in ("old", "reuse")]
    assert next(row for row in slope if row[0] == "Adapter") == ["Adapter", "deep", *ends]


def test_shifted_variants(results: pd.DataFrame, text: str) -> None:
    headings = ("Method", "Old", "Reuse", "Retrain", "Zero-shot new", "Lift", "Verdict")
    own, shifted, *_ = Page(text).rows(*headings)
    where = {"protocol": "domain", "split": "all"}
    line = next(row for row in own if row[0] == "Prompt")
    assert line[2] == numbers.number(by_seed(results, "prompt", "reuse", **where).mean())
    line = next(row for row in shifted if row[0] == "Prompt")
    both = [by_seed(results, "prompt", "reuse", test_set=v, **where) for v in VARIANTS["icons"]]
    zero = [by_seed(results, "zero", "reuse", test_set=v, **where) for v in VARIANTS["icons"]]
    lift = (both[0] + both[1] - zero[0] - zero[1]) / 2
    assert line[2] == numbers.number((both[0] + both[1]).mean() / 2)
    assert line[5] == f"{numbers.signed(lift.mean())} \N{PLUS-MINUS SIGN} {numbers.number(half_width(lift))}"
    each = Page(text).rows("Trained on", "Tested on", *headings)[0]
    line = next(row for row in each if row[1:3] == ["icons-bold", "Prompt"])
    assert line[4] == numbers.number(by_seed(results, "prompt", "reuse", test_set="icons-bold", **where).mean())


def test_shifted_variants_name_what_does_not_fit(results: pd.DataFrame) -> None:
    gone = (results.method == "adapter") & (results.strategy == "old")
    for part in (results, results[~gone]):  # with figures on the old backbone, and without any
        rows = [row for row in sections.shifts(part, "v1->v5", "zero", METHODS) if row.label == "Adapter"]
        found = {row.test_set: row.verdict for row in rows}
        assert found[sections.OWN] == found[sections.SHIFTED] == "incompatible"


def test_costs(text: str) -> None:
    headings = ("Method", "Runs", "Median time", "Total time", "Learnt parameters", "Peak memory, MB")
    assert Page(text).rows(*headings)[0] == [["Prompt", "3", "2.0 s", "12.0 s", "1,024 to 2,048", "302"]]


def test_terminal_summary(results: pd.DataFrame) -> None:
    rows = tables.headline(results, "zero", METHODS)
    text = plain(console.summary_table(rows, table_prep.scope(results)))
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    lift = by_seed(results, "prompt", "reuse") - by_seed(results, "zero", "reuse")
    figures = [by_seed(results, "prompt", name).mean() for name in ("old", "reuse", "retrain")]
    line = next(line for line in text.splitlines() if "prompt " in line)
    half = lift_half_width(results, "prompt")
    wanted = [f"{value:.1f}" for value in figures] + [f"{lift.mean():+.1f} ± {half:.1f}", "helps"]
    assert [cell.strip() for cell in line.strip("│ ").split("│")] == ["prompt", *wanted]
    baseline = next(line for line in text.splitlines() if "zero " in line)
    assert "no module" in baseline
    assert f"{by_seed(results, 'zero', 'reuse').mean():.1f}" in baseline


def plain(table: Table) -> str:
    console = Console(width=80, file=io.StringIO(), force_terminal=False)
    console.print(table)
    return console.file.getvalue()


def test_findings_state_the_data(results: pd.DataFrame) -> None:
    rows = [row for row in tables.headline(results, "zero", METHODS) if row.pair == "v1->v2"]
    text = " ".join(words.findings(rows, table_prep.scope(results)))
    zero = by_seed(results, "zero", "reuse")
    lifts = {name: (by_seed(results, name, "reuse") - zero).mean() for name in ("prompt", "prompt-b", "adapter")}
    assert "Zero, with no module, goes from H 61.5 to 66.5 (+5.0)." in text
    assert f"1 harms (Adapter {numbers.signed(lifts['adapter'])})" in text
    shallow = numbers.signed((lifts["prompt"] + lifts["prompt-b"]) / 2)
    assert f"{shallow} over 2 shallow methods and {numbers.signed(lifts['adapter'])} over 1 deep method." in text
    assert "3 of 3 methods reach a higher H" in text


def test_everything_is_escaped(text: str) -> None:
    for raw in ("<script>alert", "<b>Prompts", "<96>", "<x>", "<note>", "<cores>", "<else>"):
        assert raw not in text
    assert "javascript:" not in "".join(str(attrs.get("href")) for _, attrs in Page(text).tags)


def test_hostile_names_do_not_break_figures(results: pd.DataFrame) -> None:
    evil = METHODS | {"prompt": info("prompt", title='<svg onload="x">$\\frac{$ & "quoted"')}
    text = page(results, methods=evil)
    assert "<svg onload" not in text
    assert "$\\frac{$ &amp; " in text


WITHOUT_NUMBERS = ("how-to-read", "methods", "made", "why", "what-to-do")
"""Of the analyses none was run."""


def test_warning_stands_above_every_section_with_numbers(results: pd.DataFrame, text: str) -> None:
    for part in re.split(r"<section ", text)[1:]:
        name = part[part.index('id="') + 4 :].split('"')[0]
        assert ("Toy numbers &amp; nothing" in part) == (name not in WITHOUT_NUMBERS), name
    assert 'class="warning"' not in page(results, about=replace(ABOUT, warning=None))


def test_page_loads_nothing(text: str) -> None:
    for tag, attrs in Page(text).tags:
        assert tag not in ("img", "iframe", "object", "embed", "base"), tag
        assert "src" not in attrs
        assert tag != "link" or attrs["href"] == "data:,"
        href = attrs.get("href") or ""
        assert tag == "a" or href.startswith(("#", "data:")) or not href, (tag, href)
    assert not re.search(r"@import|url\(\s*['\"]?(?!#)", text)


def test_figures_have_names_and_ids_are_unique(text: str) -> None:
    tags = Page(text).tags
    drawings = [attrs for tag, attrs in tags if tag == "svg"]
    assert len(drawings) == 1 + 4 * len(PAIRS)  # heat map, slopes, base and new, flips
    assert all(attrs["role"] == "img" and attrs["aria-label"] for attrs in drawings)
    ids = [attrs["id"] for _, attrs in tags if attrs.get("id")]
    assert len(ids) == len(set(ids))


def test_same_arguments_same_bytes(results: pd.DataFrame, runs: pd.DataFrame, tmp_path: Path) -> None:
    files = [tmp_path / "a" / "one.html", tmp_path / "two.html"]
    for file in files:
        write(file, results, runs, ABOUT, METHODS, ABOUTS)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_csv_round_trip_changes_nothing(results: pd.DataFrame, tmp_path: Path) -> None:
    results.to_csv(tmp_path / "results.csv", index=False)
    assert page(pd.read_csv(tmp_path / "results.csv")) == page(results)


def test_results_are_not_changed(results: pd.DataFrame) -> None:
    before = results.copy()
    page(results)
    pd.testing.assert_frame_equal(results, before)


def _all_failed(results: pd.DataFrame) -> pd.DataFrame:
    return results.drop_duplicates(["pair", "method", "dataset", "seed", "strategy"]).assign(
        value=math.nan, status="failed", reason="boom", split=""
    )


STATES = {
    "nothing": lambda r: r.iloc[:0],
    "one seed": lambda r: r[r.seed == 1],
    "one method": lambda r: r[r.method.isin(["zero", "prompt"])],
    "baseline only": lambda r: r[r.method == "zero"],
    "no baseline": lambda r: r[r.method != "zero"],
    "one data set": lambda r: r[r.dataset == "digits"],
    "no domain": lambda r: r[r.protocol == "base-to-new"],
    "domain only": lambda r: r[r.protocol == "domain"],
    "all failed": _all_failed,
    "one pair": lambda r: r[r.new == "v5"],
    "incompatible only": lambda r: r[(r.new == "v5") & r.method.isin(["zero", "adapter"])],
    "old only": lambda r: r[r.strategy == "old"],
    "two configurations": lambda r: pd.concat([r, r.assign(config="lr=0.1")]),
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.filterwarnings("error")
def test_every_state_renders(state: str, results: pd.DataFrame) -> None:
    part = STATES[state](results)
    text = page(part)
    assert "</html>" in text
    assert not re.search(r">\s*(nan|None|inf)\s*<", text)
    rows = tables.headline(part, "zero", METHODS)
    assert all(math.isfinite(row.reuse.main) or row.verdict != "helps" for row in rows)


def test_no_run_at_all() -> None:
    about = replace(ABOUT, pairs=[], seeds=[], backbones=[], protocols=[], settings={}, versions={}, warning=None)
    text = page(pd.DataFrame(columns=summary.COLUMNS), about=about, methods={}, datasets={})
    assert "There are no results." in text
    assert tables.headline(pd.DataFrame(columns=summary.COLUMNS), "zero", {}) == []


def test_one_seed_is_not_judged(results: pd.DataFrame) -> None:
    part = results[results.seed == 1]
    rows = tables.headline(part, "zero", METHODS)
    assert {row.verdict for row in rows if not row.baseline and row.reuse.main == row.reuse.main} == {"undecided"}
    assert not any(row.place for row in rows)
    text = page(part)
    assert "it is not a ranking" in text
    assert "fewer than two seeds" in text


def test_one_seed_with_a_failed_cell_is_undecided_not_absent(results: pd.DataFrame) -> None:
    part = results[(results.seed == 1) & ~((results.method == "prompt") & (results.dataset == "icons"))]
    part = pd.concat([part, pd.DataFrame([result(PAIRS[0], "prompt", "icons", 1, "reuse", status="timeout")])])
    row = next(row for row in tables.headline(part, "zero", METHODS) if row.method == "prompt")
    assert (row.verdict, row.missing) == ("undecided", 1)


def test_domain_only_headline_is_accuracy(results: pd.DataFrame) -> None:
    part = results[results.protocol == "domain"]
    row = next(row for row in tables.headline(part, "zero", METHODS) if row.method == "bound")
    assert table_prep.scope(part).split == "all"
    assert row.reuse.main == pytest.approx(by_seed(part, "bound", "reuse", protocol="domain", split="all").mean())


def test_figures_are_absent_without_data(results: pd.DataFrame) -> None:
    rows = tables.headline(_all_failed(results), "zero", METHODS)
    view = table_prep.scope(results)
    assert charts.slopes(rows, view, "v1", "v2") is None
    assert charts.heat_map(_all_failed(results), rows, view, "zero", {}, "x") is None


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 1.1, 1.2, 9.0], [0.0, 0.0, 0.0], [1.0, 2.0, 2.5, 2.9, 3.0]])
def test_labels_are_spread(values: list[float]) -> None:
    places = charts.spread(values, 0.5)
    assert len(places) == len(values)
    assert all(b - a >= 0.5 - 1e-9 for a, b in itertools.pairwise(places))
    assert sum(places) == pytest.approx(sum(values))


@pytest.mark.parametrize(
    ("value", "text"), [(1.25, "+1.2"), (-1.25, "\N{MINUS SIGN}1.2"), (-0.01, "0.0"), (0.0, "0.0"), (math.nan, words.DASH)]
)
def test_signed(value: float, text: str) -> None:
    assert numbers.signed(value) == text


# --- the other protocols ---------------------------------------------------------------------------------------------

SHIFTS = ("Method", "Old", "Reuse", "Retrain", "Zero-shot new", "Lift", "Verdict")


def figures_of(base: float, rng: np.random.Generator, methods: tuple[str, ...], **change: Any) -> list[dict[str, Any]]:
    """Accuracies of all classes of some methods on the first pair, three seeds."""
    return [
        result(PAIRS[0], method, "icons", seed, strategy, split="all", value=value) | change
        for method, seed, (strategy, more) in itertools.product(methods, SEEDS, {"old": 0, "reuse": 5, "retrain": 9}.items())
        for value in [base + more + LIFTS[method] + (float(rng.normal(0, 0.4)) if method != "zero" else 0)]
        if method != "zero" or strategy != "retrain"
    ]


@pytest.fixture(scope="module")
def shots() -> pd.DataFrame:
    """Few-shot with 1, 4 and 16 shots, the rows out of order; the adapter does not fit with one shot."""
    rng = np.random.default_rng(3)
    methods = ("zero", "prompt", "adapter")
    rows = [
        row
        for count in (4, 16, 1)
        for row in figures_of(50 + count, rng, methods, protocol="few-shot", shots=count)
        if not (count == 1 and row["method"] == "adapter" and row["strategy"] != "old")
    ]
    lost = {"protocol": "few-shot", "shots": 1, "status": "oom", "reason": "full", "split": "all"}
    rows += [result(PAIRS[0], "adapter", "icons", seed, "reuse", **lost) for seed in SEEDS]
    return pd.DataFrame(rows, columns=summary.COLUMNS)


@pytest.fixture(scope="module")
def cross() -> pd.DataFrame:
    """Modules of icons on icons, digits and letters."""
    rng = np.random.default_rng(4)
    methods = ("zero", "prompt", "adapter")
    rows = [
        row
        for variant, base in (("", 60), ("digits", 30), ("letters", 20))
        for row in figures_of(base, rng, methods, protocol="cross-dataset", test_set=variant)
    ]
    return pd.DataFrame(rows, columns=summary.COLUMNS)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages without drawings, which take most of the time."""
    for name in ("slopes", "heat_map"):
        monkeypatch.setattr(charts, name, lambda *_: None)


def section(text: str, anchor: str) -> str:
    """One section of a page."""
    return next(part for part in re.split(r"<section ", text) if part.startswith(f'id="{anchor}"'))


def mean(rows: pd.DataFrame, method: str, strategy: str, **where: Any) -> float:
    """Over seeds, and then over whatever else there is."""
    for name, value in {"method": method, "strategy": strategy, "status": "ok", **where}.items():
        rows = rows[rows[name] == value]
    return float(rows.groupby("seed").value.mean().mean())


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
        assert next(iter(lines)) == "Zero"
        for method in ("prompt", "adapter") if count > 1 else ("prompt",):
            wanted = [mean(shots, method, strategy, shots=count) for strategy in ("old", "reuse", "retrain")]
            zero = mean(shots, "zero", "reuse", shots=count)
            assert lines[METHODS[method].title][1:5] == [numbers.number(value) for value in (*wanted, zero)]
            assert lines[METHODS[method].title][5].startswith(numbers.signed(wanted[1] - zero))
    assert next(row for row in tables[0] if row[0].startswith("Adapter"))[6] == "no result"
    assert next(row for row in tables[2] if row[0] == "Adapter")[6] == "harms"


def test_few_shot_alone_has_the_most_shots_in_its_headline(shots: pd.DataFrame) -> None:
    view = table_prep.scope(shots)
    assert (view.protocol, view.split, view.parts) == ("few-shot, 16 shots", "all", ())
    row = next(row for row in tables.headline(shots, "zero", METHODS) if row.method == "prompt")
    assert row.reuse.main == pytest.approx(mean(shots, "prompt", "reuse", shots=16))
    assert (row.missing, row.cells) == (0, 3)
    assert "Protocol: few-shot, 16 shots." in page(shots)


def test_numbers_of_shots(shots: pd.DataFrame) -> None:
    assert [scope.protocol for scope in table_prep.few_shots(shots)] == [
        "few-shot, 1 shot",
        "few-shot, 4 shots",
        "few-shot, 16 shots",
    ]
    assert [scope.protocol for scope in table_prep.few_shots(table_prep.clean(shots))] == [
        scope.protocol for scope in table_prep.few_shots(shots)
    ]
    assert table_prep.few_shots(shots.iloc[:0]) == []


@pytest.mark.usefixtures("undrawn")
def test_cross_dataset_shows_the_mean_of_the_others_and_each_of_them(cross: pd.DataFrame) -> None:
    part = section(page(cross), "cross-dataset")
    own, others = Page(part).rows(*SHIFTS)
    assert f"{sections.OTHERS}: means over data sets and seeds." in part
    for method in ("zero", "prompt", "adapter"):
        title = METHODS[method].title
        line = next(row for row in own if row[0] == title)
        assert line[2] == numbers.number(mean(cross, method, "reuse", test_set=""))
        line = next(row for row in others if row[0] == title)
        each = [mean(cross, method, "reuse", test_set=name) for name in ("digits", "letters")]
        assert line[2] == numbers.number(sum(each) / 2)
    (details,) = Page(part).rows("Trained on", "Tested on", *SHIFTS)
    assert [row[:3] for row in details if row[2] == "Prompt"] == [
        ["icons", "digits", "Prompt"],
        ["icons", "letters", "Prompt"],
    ]
    line = next(row for row in details if row[1:3] == ["letters", "Adapter"])
    assert line[4] == numbers.number(mean(cross, "adapter", "reuse", test_set="letters"))
    assert line[8] == "harms"


def test_cross_dataset_alone_is_the_headline(cross: pd.DataFrame) -> None:
    assert table_prep.scope(cross).protocol == "cross-dataset"
    row = next(row for row in tables.headline(cross, "zero", METHODS) if row.method == "prompt")
    assert row.reuse.main == pytest.approx(mean(cross, "prompt", "reuse", test_set="")), "of its own test images"


PROTOCOLS = ["few-shot, 16 shots", "few-shot, 4 shots", "few-shot, 1 shot", "domain", "cross-dataset"]


def test_the_headline_takes_the_first_protocol_that_was_run(
    results: pd.DataFrame, shots: pd.DataFrame, cross: pd.DataFrame
) -> None:
    every = table_prep.clean(pd.concat([cross, results, shots]))
    for wanted in ["base-to-new", *PROTOCOLS]:
        assert table_prep.scope(every).protocol == wanted
        every = every[every.protocol != wanted]


@pytest.mark.usefixtures("undrawn")
def test_all_protocols_on_one_page(results: pd.DataFrame, shots: pd.DataFrame, cross: pd.DataFrame) -> None:
    """Each in a section of its own, with the same figures as alone, before and after a CSV."""
    few = results[(results.new == "v2") & (results.dataset == "icons") & results.method.isin(["zero", "prompt"])]
    every = pd.concat([few, shots, cross], ignore_index=True)
    text = page(every)
    anchors = [
        name for name in re.findall(r'<section id="([^"]+)"', text) if name in ("few-shot", "shifted", "cross-dataset")
    ]
    assert anchors == ["few-shot", "shifted", "cross-dataset"]
    for alone, anchor in ((shots, "few-shot"), (cross, "cross-dataset"), (few, "shifted")):
        by_itself = page(alone)
        assert Page(section(text, anchor)).tables == Page(section(by_itself, anchor)).tables
        assert f'href="#{anchor}"' in text
        assert [name for name in anchors if f'id="{name}"' in by_itself] == [anchor]
    assert "Zero-shot new" not in section(text, "pair-1")
    again = io.StringIO(every.to_csv(index=False))
    assert page(pd.read_csv(again)) == text


@pytest.mark.parametrize("state", ["one seed", "no baseline", "baseline only", "all failed", "old only"])
@pytest.mark.filterwarnings("error")
@pytest.mark.usefixtures("undrawn")
def test_every_state_of_the_other_protocols_renders(state: str, shots: pd.DataFrame, cross: pd.DataFrame) -> None:
    text = page(STATES[state](pd.concat([shots, cross], ignore_index=True)))
    assert "</html>" in text
    assert not re.search(r">\s*(nan|None|inf)\s*<", text)
