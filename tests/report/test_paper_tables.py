"""Tables for papers: every cell by hand, LaTeX that compiles, numbers that another program reads."""

from __future__ import annotations

import io
import re
import shutil
import subprocess

import pandas as pd
import pytest
from fixtures.results import DATASETS, METHODS, by_seed

from benchmark.report import table_prep
from benchmark.report.method_rows import headline
from benchmark.report.model import Scope
from benchmark.report.numbers import number
from benchmark.report.paper_tables import escaped, latex, numbers_of, splits_latex


@pytest.fixture(scope="module")
def splits(results):
    """LaTeX of base, new and H on the first upgrade."""
    rows = [row for row in headline(results, "zero", METHODS) if row.pair == "v1->v2"]
    return splits_latex(table_prep.prepare(results, "zero"), rows, table_prep.scope(results), "v1 → v2")


def test_base_new_and_h_by_data_set_and_on_average(splits, results) -> None:
    blocks = splits.split(r"\midrule")[1:]
    assert len(blocks) == 1 + len(DATASETS)
    means = []
    for data, block in zip(DATASETS, blocks[1:], strict=True):
        assert f"\\itshape {data}}}" in block
        cells = [re.sub(r"\\textbf\{(.*)\}", r"\1", cell) for cell in line_of(block, "prompt")[1:]]
        own = [
            by_seed(results, "prompt", way, dataset=data, split=split).mean()
            for way in ("old", "reuse")
            for split in ("base", "new", "H")
        ]
        assert cells == [number(value) for value in own]
        means.append(own)
    cells = [re.sub(r"\\textbf\{(.*)\}", r"\1", cell) for cell in line_of(blocks[0], "prompt")[1:]]
    assert cells == [number(sum(values) / len(values)) for values in zip(*means, strict=True)]
    assert r"\textbf" not in "".join(line for line in splits.splitlines() if line.startswith("zero &"))
    for block in blocks:
        lines = [line.split(" & ") for line in block.splitlines() if line.count("&") == 6]
        for column in range(1, 7):
            assert any(r"\textbf" in line[column] for line in lines)


def test_without_base_classes_there_is_no_such_table(results) -> None:
    assert splits_latex(None, [], Scope("domain", "all", (), "accuracy"), "a → b") == ""


@pytest.fixture(scope="module")
def made(results):
    """(rows, LaTeX) of the first upgrade."""
    prepared = table_prep.prepare(results, "zero")
    rows = [row for row in headline(results, "zero", METHODS) if row.pair == "v1->v2"]
    return rows, latex(prepared, rows, table_prep.scope(results), "v1 → v2")


def line_of(text: str, method: str) -> list[str]:
    return next(line for line in text.splitlines() if line.startswith(f"{method} &")).removesuffix(r" \\").split(" & ")


def test_every_method_has_its_values_on_every_data_set(made, results) -> None:
    _, text = made
    for method in ("prompt", "adapter"):
        cells = [re.sub(r"\\textbf\{(.*)\}", r"\1", cell) for cell in line_of(text, method)[1:-1]]
        ways = [(data, way) for data in DATASETS for way in ("old", "reuse", "retrain")]
        assert cells == [number(by_seed(results, method, way, dataset=data).mean()) for data, way in ways]
    assert line_of(text, "zero")[3] == "--", "retraining means nothing without a module"


def test_the_highest_reuse_of_a_data_set_is_bold(made, results) -> None:
    _, text = made
    for place, data in enumerate(DATASETS):
        means = {
            method: by_seed(results, method, "reuse", dataset=data).mean() for method in ("prompt", "prompt-b", "adapter")
        }
        best = max(means, key=lambda method: means[method])
        bold = [method for method in means if line_of(text, method)[2 + 3 * place].startswith(r"\textbf")]
        assert best in bold
        assert all(round(means[method], 1) == round(means[best], 1) for method in bold)


def test_headings_span_their_columns(made) -> None:
    _, text = made
    assert text.count(r"\multicolumn{3}{c}") == len(DATASETS)
    assert r"\cmidrule(lr){2-4} \cmidrule(lr){5-7}" in text
    rows = [line for line in text.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
    assert {line.count("&") for line in rows} == {1 + 3 * len(DATASETS)}


def test_names_are_harmless() -> None:
    assert escaped(r"a_b & 50% {x} \y ~ → −") == (
        r"a\_b \& 50\% \{x\} \textbackslash{}y \textasciitilde{} $\rightarrow$ $-$"
    )


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no LaTeX here")
def test_it_compiles(made, splits, tmp_path) -> None:
    text = made[1] + splits
    document = "\\documentclass{article}\\usepackage{booktabs}\\begin{document}\n" + text + "\\end{document}\n"
    (tmp_path / "t.tex").write_text(document, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:]


def test_numbers_have_columns_of_their_own(made) -> None:
    rows, _ = made
    table = pd.read_csv(io.StringIO(numbers_of(rows).to_csv(index=False))).set_index("method")
    prompt = next(row for row in rows if row.method == "prompt")
    assert table.loc["prompt", ["lift", "lift_low", "lift_high"]].tolist() == pytest.approx(
        [prompt.lift.mean, prompt.lift.low, prompt.lift.high], abs=1e-4
    )
    assert table.loc["prompt", "verdict"] == "helps"
    assert (table.loc["prompt", "rank_best"], table.loc["prompt", "rank_worst"]) == prompt.rank
