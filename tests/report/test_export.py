"""The files next to the page: Markdown, tables, figures."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from fixtures.results import (
    ABOUTS,
    METHODS,
    PAIRS,
    cell,
    made_up_run,
)

from benchmark.analysis.base import all_analyses
from benchmark.config.files import slug
from benchmark.report import drawing, export, write
from benchmark.report.model import MethodRow
from benchmark.report.table import simple


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
    place, real = tmp_path_factory.mktemp("files"), drawing.pdf
    with pytest.MonkeyPatch.context() as patch:  # one figure of each kind is drawn as it is, which takes long
        patch.setattr(drawing, "pdf", lambda canvas, name: real(canvas, name) if FIRST in name else b"%PDF")
        write(place / "compat.html", made_up_run(pd.DataFrame(rows)))
    return place


FIRST = slug(PAIRS[0][1])
"""What names the figures of the first upgrade."""


def test_every_figure_is_there_twice_and_stands_alone(folder: Path) -> None:
    svgs, pdfs = (sorted((folder / "compat" / "figures").glob(f"*.{kind}")) for kind in ("svg", "pdf"))
    assert [file.stem for file in svgs] == [file.stem for file in pdfs]
    assert len(svgs) == 1 + 5 * len(PAIRS)
    assert all(file.read_bytes().startswith(b"%PDF") for file in pdfs)
    for file in svgs:
        text = file.read_text(encoding="utf-8")
        assert text.startswith("<?xml")
        assert "var(--" not in text  # a file of its own knows no page's colours


def test_a_figure_is_drawn_as_pdf_only_if_it_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []
    monkeypatch.setattr(drawing, "pdf", lambda canvas, name: drawn.append(name) or b"%PDF")

    def written(text: str, name: str = "lift") -> int:
        export._write_figure(tmp_path / f"{name}.svg", SimpleNamespace(name=name, file=text, canvas=None))
        return len(drawn)

    assert [written("<a/>"), written("<a/>"), written("<b/>"), written("<b/>", "cost")] == [1, 1, 2, 3]
    (tmp_path / "lift.pdf").unlink()
    assert written("<b/>") == 4
    assert (tmp_path / "lift.svg").read_text() == "<b/>"


def test_tables_say_what_the_page_says(folder: Path) -> None:
    tables = folder / "compat" / "tables"
    with (tables / "upgrade-v1-v2.csv").open(encoding="utf-8") as file:
        rows = {row["Method"]: row for row in csv.DictReader(file)}
    assert rows["prompt"]["Verdict"] == "helps"
    assert rows["adapter"]["Verdict"] == "harms"
    page = (folder / "compat.html").read_text(encoding="utf-8")
    assert f">{rows['prompt']['Reuse H']}</td>" in page
    tex = (tables / "upgrade-v1-v2.tex").read_text(encoding="utf-8")
    assert r"\toprule" in tex
    assert f"{float(rows['prompt']['Reuse H']):.1f}" in tex
    overview = (tables / "lift-in-h-on-all-upgrades.csv").read_text(encoding="utf-8")
    assert "incompatible" in overview
    failed = (tables / "failed-and-incompatible.csv").read_text(encoding="utf-8")
    assert '"needs 128, has <96>",incompatible' in failed


def test_markdown_has_the_answer_the_tables_and_the_commands(folder: Path) -> None:
    text = (folder / "compat.md").read_text(encoding="utf-8")
    assert "retrain prompt" in text
    assert "| v1 → v5 | needs 128, has &lt;96&gt; | incompatible |" in text
    assert "| Method | Verdict | Lift | Lift ± | Gain | Gain ± | Retained | Reuse base |" in text
    for name in all_analyses():
        assert f"analyse {name} " in text
    for line in text.splitlines():
        if line.startswith("!["):
            assert (folder / line.partition("(")[2].rstrip(")")).is_file(), line


def test_latex_escapes_and_aligns() -> None:
    table = simple("t", ("A & B", "x_1"), (("50 % → {y}", 1.25), ("−", math.nan)))
    text = export.latex(table)
    assert r"A \& B & x\_1 \\" in text
    assert r"50 \% $\rightarrow$ \{y\} & 1.2 \\" in text
    assert r"\begin{tabular}{lr}" in text


def test_markdown_table_escapes_bars() -> None:
    text = export.markdown_table(simple("t", ("a|b", "n"), (("c|d", 2.0),)))
    assert text == "| a\\|b | n |\n| --- | ---: |\n| c\\|d | 2.0 |\n"


def test_names_are_neither_html_nor_links_nor_formulas() -> None:
    rows = [
        ("<script>alert(1)</script>", 1.0),
        ("[x](javascript:alert(1))", 2.0),
        ("=HYPERLINK(1)", 3.0),
        ("@x", -4.0),
        ("-1.5", 5.0),
    ]
    table = simple("T", ("Method", "Lift"), rows)
    text = export.markdown_table(table)
    assert "<script>" not in text
    assert "[x](" not in text
    assert "\\[x\\](javascript" in text
    cells = [line.split(",")[0] for line in export.csv(table).splitlines()[1:]]
    assert cells == ["<script>alert(1)</script>", "[x](javascript:alert(1))", "'=HYPERLINK(1)", "'@x", "-1.5"]


def test_an_upgrade_without_any_value_has_no_paper_tables(tmp_path):
    """LaTeX would stop at a table without columns."""
    empty = MethodRow("a->b", "m", "default", "m", "deep", baseline=False)
    scope = SimpleNamespace(word="H", parts=())
    assert export.write_paper_tables(tmp_path / "page.html", SimpleNamespace(), {"a b": [empty], "c d": []}, scope) == []
    assert not (tmp_path / "page").exists()
