"""Files next to the page: Markdown, tables as CSV and LaTeX, figures as SVG and PDF."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from benchmark.config.files import slug, write_atomically
from benchmark.report import paper_tables
from benchmark.report.contents import Report
from benchmark.report.model import AnalysisSection, Figure, MethodRow, Scope
from benchmark.report.numbers import ascii_number, ascii_text, number
from benchmark.report.table import Plain, Table
from benchmark.report.table_prep import Prepared


def write_files(page: Path, report: Report) -> Path:
    """Write ``<page>.md`` and the folder ``<page>/`` with tables and figures; returns the folder."""
    folder = page.with_suffix("")
    write_atomically(page.with_suffix(".md"), markdown(report, folder.name).encode())
    for table in report_tables(report):
        name = slug(table.file or table.title)
        write_atomically(folder / "tables" / f"{name}.csv", csv(table).encode())
        write_atomically(folder / "tables" / f"{name}.tex", latex(table).encode())
    write_paper_tables(page, report.prepared, {view.name: view.rows for view in report.pairs}, report.view)
    for figure in report_figures(report):
        _write_figure(folder / "figures" / f"{figure.name}.svg", figure)
    return folder


def write_paper_tables(page: Path, prepared: Prepared, rows: Mapping[str, Sequence[MethodRow]], view: Scope) -> list[Path]:
    """Write the tables that papers print into the folder ``<page>/tables``; returns the files.

    ``rows``: the headline rows by the name of the upgrade.
    """
    written = []
    for name, some in rows.items():
        if not any(math.isfinite(value) for row in some for value in (row.old.main, row.reuse.main, row.retrain)):
            continue
        for file, text in paper_tables.files(prepared, some, view, name):
            written.append(page.with_suffix("") / "tables" / file)
            write_atomically(written[-1], text.encode())
    return written


def _write_figure(svg: Path, figure: Figure) -> None:
    """A figure as SVG and PDF. A PDF takes most of a second; if the SVG is the one that is there, so is its PDF."""
    from benchmark.report import drawing  # matplotlib takes seconds to import

    content, pdf = figure.file.encode(), svg.with_suffix(".pdf")
    if pdf.is_file() and svg.is_file() and svg.read_bytes() == content:
        return
    write_atomically(pdf, drawing.pdf(figure.canvas, figure.name))
    write_atomically(svg, content)  # last, so that an SVG never stands next to an older PDF that counts as its own


def names_of_files(page: Path) -> str:
    """The names of what is written next to a page, for a sentence."""
    return f"{page.with_suffix('.md').name} and {page.with_suffix('').name}/ with tables and figures"


def report_figures(report: Report) -> Iterator[Figure]:
    """All figures of a report."""
    if report.picture:
        yield report.picture
    for view in report.pairs:
        yield from view.drawings
    for analysis in report.analyses:
        yield from analysis.figures


def report_tables(report: Report) -> Iterator[Table]:
    """The tables that papers want: all upgrades, each upgrade, other protocols, analyses, costs, what has no value."""
    if report.overview:
        yield report.overview
    for view in report.pairs:
        if view.anchor in report.ways:
            yield report.ways[view.anchor]
        if view.rows:
            yield view.table
        if view.metrics:
            yield view.metrics
    for section in report.sections:
        for protocol in section.pairs:
            yield from protocol.tables
    for analysis in report.analyses:
        yield from analysis.tables
    if report.costs:
        yield report.costs
    if report.failures:
        yield report.failures


def csv(table: Table) -> str:
    """A table as CSV with rounded numbers, empty where a value is missing."""
    rows = [
        [harmless(ascii_text(value)) if isinstance(value, str) else ascii_number(value, digits) for value, digits in line]
        for line in _with_digits(table)
    ]
    frame = pd.DataFrame(rows, columns=[harmless(ascii_text(name)) for name in table.header()])
    return frame.to_csv(index=False, lineterminator="\n")


def latex(table: Table) -> str:
    """A table for a paper; it needs the package booktabs."""
    rows = [[_text(*cell) for cell in line] for line in _with_digits(table)]
    frame = pd.DataFrame(rows, columns=table.header())
    form = "".join("r" if numeric else "l" for numeric in _numeric(table))
    styler = frame.style.hide(axis="index").format(escape="latex").format_index(escape="latex", axis=1)
    text: str = styler.to_latex(column_format=form, hrules=True)
    signs = {"−": "$-$", "±": r"$\pm$", "→": r"$\rightarrow$", "–": "--"}
    return "".join(signs.get(character, character) for character in text)


def markdown_table(table: Table) -> str:
    """A table in Markdown."""
    marks = ["---:" if numeric else "---" for numeric in _numeric(table)]
    lines = [table.header(), marks, *([_text(*cell) for cell in line] for line in _with_digits(table))]
    escaped = [[plain(cell).replace("|", "\\|") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in escaped) + "\n"


def plain(text: str) -> str:
    """A text in Markdown that is neither HTML nor a link, whatever names it has."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace("[", "\\[").replace("]", "\\]")


def harmless(text: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{text}" if re.match(r"[=@\t]|[+-](?![\d.])", text) else text


def _with_digits(table: Table) -> list[list[tuple[Plain, int]]]:
    """Rows of a file with the decimals of each cell."""
    return [list(zip(row, table.decimals(), strict=True)) for row in table.body()]


def _numeric(table: Table) -> list[bool]:
    """Whether a file's columns hold numbers."""
    body = table.body()
    return [any(isinstance(row[i], int | float) for row in body) for i in range(len(table.header()))]


def _text(value: Plain, digits: int) -> str:
    return number(value, digits) if isinstance(value, int | float) else value


def markdown(report: Report, folder: str) -> str:
    """The report in short as Markdown: the answer, a table for each upgrade, the analyses."""
    parts = ["# How well fine-tuned CLIP modules survive a backbone update", plain(report.headline)]
    if report.run.about.warning:
        parts.append(f"> **{plain(report.run.about.warning)}**")
    for item in report.answers:
        parts.append(f"- **{plain(f'{item.pair}: {item.decision}.')}** {plain(f'{item.sentence} {item.repair}'.rstrip())}")
    for key in report.numbers:
        parts.append(f"- **{plain(key.value)}** {plain(key.label)}" + (f" ({plain(key.note)})" if key.note else ""))
    if report.picture:
        parts.append(_image(report.picture, folder))
    if report.overview:
        parts += ["## All upgrades", markdown_table(report.overview)]
    for view in report.pairs:
        parts += [f"## {plain(view.name)}", *(f"- {plain(sentence)}" for sentence in view.findings)]
        if view.anchor in report.ways:
            parts.append(markdown_table(report.ways[view.anchor]))
        if view.rows:
            parts.append(markdown_table(view.table))
        if view.metrics:
            parts.append(markdown_table(view.metrics))
        parts += [_image(drawing, folder) for drawing in view.drawings]
    for analysis in report.analyses:
        parts += _analysis(analysis, folder)
    if report.failures:
        parts += ["## Failed and incompatible", markdown_table(report.failures)]
    command = report.run.about.command.replace("`", "'")
    parts.append(f"Made {plain(report.run.about.created)} with `{command}`.")
    return "\n\n".join(parts).replace("\n\n- ", "\n- ") + "\n"


def _analysis(view: AnalysisSection, folder: str) -> list[str]:
    if not view.provenance:
        return [f"## {plain(view.title)}", f"{view.question} Not run: `{view.command}`"]
    parts = [f"## {plain(view.title)}", plain(f"{view.question} {view.provenance}")]
    parts += [f"- {plain(sentence)}" for sentence in view.findings]
    parts += [_image(figure, folder) for figure in view.figures]
    return parts + [markdown_table(table) for table in view.tables if len(table.rows) <= 40]


def _image(figure: Figure, folder: str) -> str:
    return f"![{plain(figure.title)}]({folder}/figures/{figure.name}.svg)"
