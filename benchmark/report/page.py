"""Builds the page and writes it, with the files next to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from benchmark.analysis.findings import Findings
from benchmark.config.files import write_atomically
from benchmark.report import (
    analysis_view,
    answers,
    details,
    export,
    gallery,
    method_view,
    sections,
    summary,
    table_prep,
    tables,
    templating,
    words,
)
from benchmark.report.contents import PairView, Report
from benchmark.report.method_rows import FirstTables, first_tables
from benchmark.report.model import Answer, CostRow, Figure, MethodRow, Scope
from benchmark.report.table import Table
from benchmark.report.table_prep import Configured, Prepared
from benchmark.report.ways import Repairs, ways_table
from benchmark.results.archive import RunResults
from benchmark.results.decision import decide
from benchmark.results.elsewhere import effects
from benchmark.results.metric import PRIMARY, all_metrics
from benchmark.results.summary import extra_metrics

Lifts = Mapping[Configured, Mapping[str, float]]
"""See ``table_prep.lifts_by_dataset``."""
SCRIPTS = ("sort.js", "filter.js", "copy.js", "theme.js", "details.js", "marks.js", "scroll.js")


def write(
    file: Path,
    run: RunResults,
    findings: Findings | None = None,
    *,
    first: FirstTables | None = None,
    files: bool = True,
) -> Report:
    """Write the report, and return what is in it. Same arguments, same bytes.

    Args:
        file: One HTML page that needs nothing else.
        run: What it is about.
        findings: Those of the analyses that were run.
        first: What ``first_tables`` makes of the run, if that is known already.
        files: Whether to write next to it the same as Markdown, its tables as CSV and LaTeX, and its figures as SVG and PDF.
    """
    report = gather(run, findings or {}, first)
    write_atomically(file, page(report).encode())
    if files:
        export.write_files(file, report)
    return report


def write_paper_tables(file: Path, run: RunResults) -> list[Path]:
    """Only the tables that papers print, which the report writes too, at the same places; returns the files."""
    first = first_tables(run)
    results = first.prepared.results
    named = results[["pair", "old", "new"]].drop_duplicates().itertuples(index=False, name=None)
    names = {pair: f"{old} \N{RIGHTWARDS ARROW} {new}" for pair, old, new in named}
    rows: dict[str, list[MethodRow]] = {}
    for row in first.rows:
        rows.setdefault(names[row.pair], []).append(row)
    return export.write_paper_tables(file, first.prepared, rows, table_prep.scope(results))


def render(run: RunResults, findings: Findings | None = None) -> str:
    """The page as text."""
    return page(gather(run, findings or {}))


def gather(run: RunResults, findings: Findings, first: FirstTables | None = None) -> Report:
    """Everything that is computed for the report."""
    about, methods = run.about, run.methods
    first = first or first_tables(run)
    prepared, results = first.prepared, first.prepared.results
    view, costs = table_prep.scope(results), sections.costs(run.runs, methods)
    lifts = table_prep.lifts_by_dataset(prepared, view)
    pairs = _pairs(first, run, view, costs, lifts)
    names = _names(results, pairs)
    shifted = sections.shift_rows(prepared, names)
    found, ways = _answers(prepared, pairs, shifted, view, about.repairs, analysis_view.answers(findings))
    overview = summary.overview([pair.rows for pair in pairs])
    from benchmark.report import scatter  # imports matplotlib, which takes seconds

    capabilities = sections.capabilities(about.capabilities, run.runs, methods)
    reference = next((name for name, info in methods.items() if info.reference), "")
    return Report(
        run=run,
        prepared=prepared,
        view=view,
        headline=answers.headline(found),
        answers=found,
        by_method=method_view.overall([(pair.name, pair.anchor, pair.rows) for pair in pairs], view),
        numbers=summary.key_numbers(overview, len(pairs), view),
        picture=scatter.strip([(pair.name, pair.rows) for pair in pairs], view),
        overview=tables.overview_table(overview, [pair.name for pair in pairs], view) if overview else None,
        pairs=pairs,
        ways=ways,
        sections=sections.other_protocols(prepared, names, shifted),
        analyses=analysis_view.sections(findings, about.command),
        costs=tables.cost_table(costs) if costs else None,
        capabilities=tables.capability_table(capabilities, reference) if capabilities else None,
        failures=_failures(results, run),
        published=tables.published_table(about.published) if about.published else None,
    )


def _answers(
    prepared: Prepared,
    pairs: Sequence[PairView],
    shifted: sections.ShiftRows,
    view: Scope,
    repairs: Repairs,
    analysed: Mapping[str, str],
) -> tuple[list[Answer], dict[str, Table]]:
    """What to do at every upgrade, and by its anchor the ways that were measured."""
    found, measured = [], {}
    for pair in pairs:
        name = pair.rows[0].pair if pair.rows else ""
        given = prepared.covariances, prepared.baseline
        others = {
            title: effects(prepared.table, (name, scope.protocol, scope.split), *given, repairs, prepared.looks)
            for title, scope in sections.elsewhere_scopes().items()
        }
        where = (name, view.protocol, view.split)
        decision = decide(prepared.table, where, *given, answers.harmful(others), repairs, prepared.looks)
        evidence = answers.Evidence(
            pair.name,
            pair.anchor,
            pair.old,
            pair.new,
            pair.rows,
            decision,
            sections.elsewhere(shifted, name, view),
            others,
            repairs,
            analysed.get(pair.name, ""),
        )
        found.append(answers.answer(evidence, view))
        table = ways_table(decision, repairs, view, pair.name, pair.old, pair.new)
        if table is not None:
            measured[pair.anchor] = table
    return found, measured


def _failures(results: pd.DataFrame, run: RunResults) -> Table | None:
    rows = sections.failures(results, run.about.backbones)
    return tables.failure_table(rows) if rows else None


def page(report: Report) -> str:
    """The page as text."""
    run, about, results = report.run, report.run.about, report.prepared.results
    methods = run.methods
    used = list(dict.fromkeys([*results.method, *about.settings]))
    bad = results[results.status != "ok"]
    context: dict[str, Any] = {
        "report": report,
        "about": about,
        "view": report.view,
        "pairs": report.pairs,
        "why": [analysis for analysis in report.analyses if analysis.explains],
        "what": [analysis for analysis in report.analyses if not analysis.explains],
        "sections": report.sections,
        "failed_cells": len(sections.cells(bad)),
        "all_cells": len(sections.cells(results)),
        "metrics": [metric for metric in all_metrics() if metric.name != PRIMARY and metric.name in set(results.metric)],
        "methods": [methods[name] for name in used if name in methods],
        "settings": about.settings,
        "backbones": tables.backbone_table(about.backbones),
        "datasets": tables.dataset_table(run.datasets, about.notes),
        "dataset_count": results[results.test_set == ""].dataset.nunique(),
        "method_count": len([name for name in dict.fromkeys(results.method) if name != about.zero_shot]),
        "shots": sorted({int(value) for value in pd.to_numeric(results.shots, errors="coerce").dropna()}),
        "details": details.packed(report.prepared),
        "css": templating.text("style.css"),
        "script": "\n".join(templating.text(name) for name in SCRIPTS),
    }
    return templating.environment().get_template("page.html.j2").render(context)


def _pairs(first: FirstTables, run: RunResults, view: Scope, costs: Sequence[CostRow], lifts: Lifts) -> list[PairView]:
    """The pairs of the run in their order, then any others that the results have."""
    prepared, rows = first.prepared, first.rows
    results = prepared.results
    others = [tuple(pair) for pair in results[["old", "new"]].drop_duplicates().itertuples(index=False, name=None)]
    metrics = list(dict.fromkeys(metric for metric, _ in extra_metrics(results)))
    views = []
    for index, (old, new) in enumerate(dict.fromkeys([*run.about.pairs, *others])):
        pair = table_prep.pair_name(results, old, new)
        chosen = [row for row in rows if row.pair == pair]
        name = f"{old} \N{RIGHTWARDS ARROW} {new}"
        views.append(
            PairView(
                anchor=f"pair-{index + 1}",
                name=name,
                old=old,
                new=new,
                findings=[*words.findings(chosen, view), *words.related(run.about.relatedness.get(f"{old}->{new}"))],
                by_method={
                    row.label: method_view.sentences(row, chosen, view, lifts.get((row.pair, row.method, row.config), {}))
                    for row in chosen
                },
                rows=chosen,
                table=tables.headline_table(chosen, view, name, old, new),
                metrics=tables.metrics_table(chosen, metrics, name),
                drawings=_drawings(prepared, chosen, lifts, view, costs, (old, new, name)),
                lost=gallery.gallery(run.lost.get(f"{old}->{new}")),
            )
        )
    return views


def _drawings(
    prepared: Prepared,
    rows: list[MethodRow],
    lifts: Lifts,
    view: Scope,
    costs: Sequence[CostRow],
    names: tuple[str, str, str],
) -> list[Figure]:
    """The drawings of one pair. ``names``: old, new, and the name of the pair."""
    from benchmark.report import charts, forest, scatter  # import matplotlib, which takes seconds

    old, new, name = names
    drawings = [
        forest.forest(rows, view, name),
        charts.heat_map(prepared, rows, lifts, view, name),
        charts.slopes(rows, view, old, new),
        scatter.base_and_new(rows, view, name),
        scatter.flips(rows, name),
        scatter.pareto(rows, {row.label: row for row in costs}, view, name),
    ]
    return [drawing for drawing in drawings if drawing]


def _names(results: pd.DataFrame, views: list[PairView]) -> dict[str, str]:
    """How the page writes each pair that the results have."""
    names = {table_prep.pair_name(results, view.old, view.new): view.name for view in views}
    return {pair: name for pair, name in names.items() if pair is not None}
