"""Files beside the page: Markdown, tables as CSV and LaTeX, figures as SVG and PDF."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from benchmark.experiment.store import write_atomically
from benchmark.report.contents import Report
from benchmark.report.model import AnalysisView, Cell, Figure, Grid, MethodRow, OverviewRow, Scope
from benchmark.report.words import number, slug


def write_beside(page: Path, report: Report) -> Path:
    """Write ``<page>.md`` and the folder ``<page>/`` with tables and figures; returns the folder."""
    folder = page.with_suffix("")
    write_atomically(page.with_suffix(".md"), markdown(report, folder.name).encode())
    for grid in report_grids(report):
        name = slug(grid.file or grid.title)
        frame = pd.DataFrame(list(grid.rows), columns=list(grid.columns))
        csv = frame.to_csv(index=False, lineterminator="\n", float_format=f"%.{grid.digits}f")
        write_atomically(folder / "tables" / f"{name}.csv", csv.encode())
        write_atomically(folder / "tables" / f"{name}.tex", latex(grid).encode())
    from benchmark.report import drawing  # matplotlib takes seconds to import

    for figure in report_figures(report):
        write_atomically(folder / "figures" / f"{figure.name}.svg", figure.file.encode())
        write_atomically(folder / "figures" / f"{figure.name}.pdf", drawing.pdf(figure.canvas, figure.name))
    return folder


def beside(page: Path) -> str:
    """What stands beside a page, in words."""
    return f"{page.with_suffix('.md').name} and {page.with_suffix('').name}/ with tables and figures"


def report_figures(report: Report) -> Iterator[Figure]:
    """All figures of a report."""
    if report.picture:
        yield report.picture
    for view in report.pairs:
        yield from view.drawings
    for analysis in report.analyses:
        yield from analysis.figures


def report_grids(report: Report) -> Iterator[Grid]:
    """The tables that papers want: all upgrades, each upgrade, the analyses."""
    if report.overview:
        yield overview_grid(report.overview, [view.name for view in report.pairs], report.view)
    for view in report.pairs:
        if view.rows:
            yield headline_grid(view.rows, view.name, report.view)
    for analysis in report.analyses:
        yield from analysis.grids


def headline_grid(rows: Sequence[MethodRow], name: str, view: Scope) -> Grid:
    """The headline table of one upgrade."""
    parts = ("base", "new", view.split) if view.parts else ("accuracy",)
    columns = ("Method", *(f"Old {each}" for each in parts), *(f"Reuse {each}" for each in parts), f"Retrain {parts[-1]}")
    columns += ("Lift", "±", "Gain", "Retained", "Negative flips", "ECE", "Verdict")
    found: list[tuple[Cell, ...]] = []
    for row in rows:
        old, reuse = ((s.base, s.new, s.main) if view.parts else (s.main,) for s in (row.old, row.reuse))
        kept = f"{number(100 * row.retained.mean, 0)} %" if math.isfinite(row.retained.mean) else ""
        last = (row.lift.mean, row.lift.half, row.gain.mean, kept, row.flips, row.ece[1])
        found.append((row.label, *old, *reuse, row.retrain, *last, "baseline" if row.baseline else row.verdict))
    return Grid(f"upgrade {name}", columns, tuple(found))


def overview_grid(rows: Sequence[OverviewRow], pairs: Sequence[str], view: Scope) -> Grid:
    """Lift of every method on every upgrade, and its mean."""
    columns = ("Method", *pairs, "Mean", "±", "Upgrades")
    found: list[tuple[Cell, ...]] = []
    for row in rows:
        each = tuple(_lift(mine) for mine in row.rows)
        found.append((row.label, *each, row.mean.mean, row.mean.half, str(row.pairs)))
    return Grid(f"lift in {view.word} on all upgrades", columns, tuple(found))


def _lift(row: MethodRow | None) -> Cell:
    if row is None:
        return ""
    return row.lift.mean if math.isfinite(row.lift.mean) else row.verdict


def latex(grid: Grid) -> str:
    """A table for a paper; it needs the package booktabs."""
    rows = [[_text(value, grid.digits) for value in row] for row in grid.rows]
    frame = pd.DataFrame(rows, columns=list(grid.columns))
    form = "".join("r" if _numeric(grid, i) else "l" for i in range(len(grid.columns)))
    styler = frame.style.hide(axis="index").format(escape="latex").format_index(escape="latex", axis=1)
    text: str = styler.to_latex(column_format=form, hrules=True)
    return text.replace("−", "$-$").replace("±", r"$\pm$").replace("→", r"$\rightarrow$").replace("–", "--")


def _numeric(grid: Grid, column: int) -> bool:
    return any(isinstance(row[column], int | float) for row in grid.rows)


def _text(value: Cell, digits: int) -> str:
    return number(value, digits) if isinstance(value, int | float) else value


def markdown_table(grid: Grid) -> str:
    """A table in Markdown."""
    marks = ["---:" if _numeric(grid, i) else "---" for i in range(len(grid.columns))]
    lines = [grid.columns, marks, *([_text(value, grid.digits) for value in row] for row in grid.rows)]
    escaped = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in escaped) + "\n"


def markdown(report: Report, folder: str) -> str:
    """The report's essence as Markdown: the answer, a table for each upgrade, what the analyses found."""
    parts = ["# How well fine-tuned CLIP modules survive a backbone update", report.headline]
    if report.about.warning:
        parts.append(f"> **{report.about.warning}**")
    parts += [f"- **{each.pair}: {each.decision}.** {each.sentence} {each.repair}".rstrip() for each in report.answers]
    parts += [f"- **{each.value}** {each.label}" + (f" ({each.note})" if each.note else "") for each in report.numbers]
    if report.picture:
        parts.append(f"![{report.picture.title}]({folder}/figures/{report.picture.name}.svg)")
    if report.overview:
        names = [each.name for each in report.pairs]
        parts += ["## All upgrades", markdown_table(overview_grid(report.overview, names, report.view))]
    for view in report.pairs:
        parts += [f"## {view.name}", *(f"- {sentence}" for sentence in view.findings)]
        if view.rows:
            parts.append(markdown_table(headline_grid(view.rows, view.name, report.view)))
        parts += [f"![{each.title}]({folder}/figures/{each.name}.svg)" for each in view.drawings]
    for analysis in report.analyses:
        parts += _analysis(analysis, folder)
    parts.append(f"Made {report.about.created} with `{report.about.command}`.")
    return "\n\n".join(parts).replace("\n\n- ", "\n- ") + "\n"


def _analysis(view: AnalysisView, folder: str) -> list[str]:
    if not view.made:
        return [f"## {view.title}", f"{view.question} Not run: `{view.command}`"]
    found = [f"## {view.title}", f"{view.question} {view.made}", *(f"- {sentence}" for sentence in view.findings)]
    found += [f"![{each.title}]({folder}/figures/{each.name}.svg)" for each in view.figures]
    return found + [markdown_table(grid) for grid in view.grids if len(grid.rows) <= 40]
