"""The page: it needs nothing but itself, and no state of the results breaks it."""

from __future__ import annotations

import io
import math
import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from fixtures.results import (
    ABOUT,
    METHODS,
    PAIRS,
    Page,
    all_failed,
    info,
    made_up_run,
    page,
)

from benchmark.report import (
    write,
)
from benchmark.report.method_rows import headline
from benchmark.report.page import gather
from benchmark.results.summary import COLUMNS


def test_everything_is_escaped(text: str) -> None:
    for raw in ("<script>alert", "<b>Prompts", "<96>", "<x>", "<note>", "<cores>", "<else>"):
        assert raw not in text
    assert "javascript:" not in "".join(str(attrs.get("href")) for _, attrs in Page(text).tags)


def test_hostile_names_do_not_break_figures(results: pd.DataFrame) -> None:
    evil = METHODS | {"prompt": info("prompt", title='<svg onload="x">$\\frac{$ & "quoted"')}
    text = page(results, methods=evil)
    assert "<svg onload" not in text
    assert "$\\frac{$ &amp; " in text


WITHOUT_NUMBERS = ("how-to-read", "methods", "provenance", "why", "what-to-do")
"""Of the analyses none was run."""


@pytest.mark.usefixtures("undrawn")
def test_the_warning_stands_at_the_top_and_every_section_with_numbers_refers_to_it(results: pd.DataFrame, text: str) -> None:
    assert text.count("Toy numbers &amp; nothing") == 1
    summary, overview, *others = re.split(r"<section ", text)[1:]
    assert 'id="note"' in summary
    assert overview.startswith('id="overview"'), "right below it"
    for part in others:
        name = part[part.index('id="') + 4 :].split('"')[0]
        assert ('href="#note"' in part) == (name not in WITHOUT_NUMBERS), name
    assert 'class="warning"' not in page(results, about=replace(ABOUT, warning=None))


def test_every_element_of_a_drawing_is_closed(text: str) -> None:
    """HTML does not know that an empty element of SVG ends with itself, unless it is a shape."""
    for drawing in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        assert len(re.findall(r"<g[ >]", drawing)) == drawing.count("</g>")
        assert not re.search(r"<g[^>]*/>", drawing)


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
    assert len(drawings) == 1 + 5 * len(PAIRS)  # heat map, slopes, base and new, flips
    assert all(attrs["role"] == "img" and attrs["aria-label"] for attrs in drawings)
    ids = [attrs["id"] for _, attrs in tags if attrs.get("id")]
    assert len(ids) == len(set(ids))


@pytest.mark.slow
def test_same_arguments_same_bytes(results: pd.DataFrame, runs: pd.DataFrame, tmp_path: Path) -> None:
    """The page and every file next to it."""
    written = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        write(
            folder / "compat.html",
            made_up_run(results[(results.new == "v5") & results.method.isin(["zero", "prompt"])], runs),
        )
        written.append({file.relative_to(folder): file.read_bytes() for file in folder.rglob("*.*")})
    assert written[0] == written[1]
    assert {file.suffix for file in written[0]} == {".html", ".md", ".csv", ".tex", ".svg", ".pdf"}


@pytest.mark.usefixtures("undrawn")
def test_a_csv_round_trip_changes_nothing(results: pd.DataFrame, tmp_path: Path) -> None:
    results.to_csv(tmp_path / "results.csv", index=False)
    assert page(pd.read_csv(tmp_path / "results.csv")) == page(results)


@pytest.mark.usefixtures("undrawn")
def test_results_are_not_changed(results: pd.DataFrame) -> None:
    before = results.copy()
    page(results)
    pd.testing.assert_frame_equal(results, before)


STATES = {
    "nothing": lambda r: r.iloc[:0],
    "one seed": lambda r: r[r.seed == 1],
    "one method": lambda r: r[r.method.isin(["zero", "prompt"])],
    "baseline only": lambda r: r[r.method == "zero"],
    "no baseline": lambda r: r[r.method != "zero"],
    "one data set": lambda r: r[r.dataset == "digits"],
    "no domain": lambda r: r[r.protocol == "base-to-new"],
    "domain only": lambda r: r[r.protocol == "domain"],
    "all failed": all_failed,
    "two pairs": lambda r: r,
    "incompatible only": lambda r: r[(r.new == "v5") & r.method.isin(["zero", "adapter"])],
    "old only": lambda r: r[r.strategy == "old"],
    "two configurations": lambda r: pd.concat([r, r.assign(config="lr=0.1")]),
}


SPARSE = ("nothing", "one method", "all failed", "old only")
"""What a drawing may have nothing to show of; drawings take most of the time."""


@pytest.mark.parametrize("state", SPARSE)
@pytest.mark.filterwarnings("error")
@pytest.mark.slow
def test_figures_of_sparse_results_are_drawn(state: str, results: pd.DataFrame) -> None:
    assert "</html>" in page(STATES[state](results[results.new == "v2"]))


@pytest.mark.parametrize("state", STATES)
@pytest.mark.filterwarnings("error")
@pytest.mark.usefixtures("undrawn")
def test_every_state_renders(state: str, results: pd.DataFrame) -> None:
    of_two_pairs = state in ("two pairs", "incompatible only")
    part = STATES[state](results if of_two_pairs else results[results.new == "v2"])
    text = page(part)
    assert "</html>" in text
    assert not re.search(r">\s*(nan|None|inf)\s*<", text)
    rows = headline(part, "zero", METHODS)
    assert all(math.isfinite(row.reuse.main) or row.verdict != "helps" for row in rows)


def test_no_run_at_all() -> None:
    about = replace(ABOUT, pairs=[], seeds=[], backbones=[], protocols=[], settings={}, versions={}, warning=None)
    text = page(pd.DataFrame(columns=COLUMNS), about=about, methods={}, datasets={})
    assert "There are no results." in text
    assert headline(pd.DataFrame(columns=COLUMNS), "zero", {}) == []


def section(text: str, anchor: str) -> str:
    """One section of a page."""
    return next(part for part in re.split(r"<section ", text) if part.startswith(f'id="{anchor}"'))


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


@pytest.mark.usefixtures("undrawn")
def test_harm_on_shifted_sets_counts_where_that_protocol_is_the_headline(results: pd.DataFrame) -> None:
    """A module that is far better on the own test split and far worse on shifted sets is not kept."""
    rows = results[results.protocol == "domain"].copy()
    mine = (rows.method == "prompt") & (rows.strategy == "reuse")
    shifted = rows.test_set.fillna("") != ""
    for new in rows.new.unique():
        for where, gap in ((~shifted, 30.0), (shifted, -30.0)):
            some = mine & where & (rows.new == new)
            zero = rows[(rows.method == "zero") & (rows.strategy == "reuse") & (rows.new == new) & where]
            keys = ["dataset", "test_set", "seed"]
            level = zero.fillna({"test_set": ""}).set_index(keys).value
            rows.loc[some, "value"] = [
                level.loc[tuple(key)] + gap for key in rows[some].fillna({"test_set": ""})[keys].itertuples(index=False)
            ]
    found = gather(made_up_run(rows), {}).answers
    assert found
    assert not any("keep prompt" in answer.decision for answer in found)
    kept = gather(made_up_run(rows[~shifted[rows.index]]), {}).answers
    assert any("keep prompt" in answer.decision for answer in kept), "without the shifted sets it is"
