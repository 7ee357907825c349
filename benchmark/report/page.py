"""Puts the page together and writes it, with the files beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from benchmark.analysis.findings import Findings
from benchmark.experiment.store import write_atomically
from benchmark.report import details, export, sections, studies, summary, table_prep, words
from benchmark.report.contents import PairView, Report
from benchmark.report.model import CostRow, Figure, MethodRow, Scope
from benchmark.report.tables import headline
from benchmark.results.provenance import About, DatasetAbout
from benchmark.results.summary import Covariances

if TYPE_CHECKING:
    from benchmark.method.base import Info

HERE = Path(__file__).parent
SCRIPTS = ("sort.js", "filter.js", "copy.js", "theme.js", "details.js")


def write(
    file: Path,
    results: pd.DataFrame,
    runs: pd.DataFrame,
    about: About,
    methods: Mapping[str, Info],
    datasets: Mapping[str, DatasetAbout],
    covariances: Covariances | None = None,
    findings: Findings | None = None,
) -> None:
    """Write the report: one HTML page that needs nothing else, and beside it the same as Markdown, its tables as CSV and
    LaTeX, and its figures as SVG and PDF. Same arguments, same bytes.

    ``results`` has the columns ``compat.COLUMNS``; ``runs`` has at least kind, method, config, status, seconds, peak_mb and
    parameters. Either may be empty. ``covariances`` say what the images contribute to the uncertainty; without, intervals
    cover seeds only. ``findings`` are those of the analyses that were run.
    """
    results = table_prep.clean(results)
    report = gather(results, runs, about, methods, datasets, covariances, findings)
    write_atomically(file, page(report, results, runs, methods, datasets).encode())
    export.write_beside(file, report)


def render(
    results: pd.DataFrame,
    runs: pd.DataFrame,
    about: About,
    methods: Mapping[str, Info],
    datasets: Mapping[str, DatasetAbout],
    covariances: Covariances | None = None,
    findings: Findings | None = None,
) -> str:
    """The page as text; arguments as ``write`` has them."""
    results = table_prep.clean(results)
    report = gather(results, runs, about, methods, datasets, covariances, findings)
    return page(report, results, runs, methods, datasets)


def gather(
    results: pd.DataFrame,
    runs: pd.DataFrame,
    about: About,
    methods: Mapping[str, Info],
    datasets: Mapping[str, DatasetAbout],
    covariances: Covariances | None,
    findings: Findings | None,
) -> Report:
    """Everything that is computed for the report, from clean results."""
    view, costs = table_prep.scope(results), sections.costs(runs, methods)
    pairs = _pairs(results, about, methods, datasets, view, covariances, costs)
    repairs = studies.cheapest((findings or {}).get("repair", ()))
    answers = [summary.answer(each.name, each.anchor, each.rows, view, repairs.get(each.name, "")) for each in pairs]
    overview = summary.overview([each.rows for each in pairs])
    from benchmark.report import scatter  # draws with matplotlib: not before there is something to draw

    return Report(
        about=about,
        view=view,
        headline=summary.headline(answers),
        answers=answers,
        numbers=summary.key_numbers(overview, len(pairs), view),
        picture=scatter.strip([(each.name, each.rows) for each in pairs], view),
        overview=overview,
        pairs=pairs,
        sections=sections.elsewhere(results, _names(results, pairs), about.zero_shot, methods, covariances),
        analyses=studies.views(findings or {}, about.command),
        costs=costs,
    )


def page(
    report: Report,
    results: pd.DataFrame,
    runs: pd.DataFrame,
    methods: Mapping[str, Info],
    datasets: Mapping[str, DatasetAbout],
) -> str:
    """The page as text."""
    about = report.about
    used = list(dict.fromkeys([*results.method, *about.settings]))
    bad = results[results.status != "ok"]
    titles = {name: dataset.title for name, dataset in datasets.items()}
    context: dict[str, Any] = {
        "report": report,
        "about": about,
        "view": report.view,
        "pairs": report.pairs,
        "why": [each for each in report.analyses if each.name in studies.WHY],
        "what": [each for each in report.analyses if each.name not in studies.WHY],
        "sections": report.sections,
        "failures": sections.failures(results, methods),
        "failed_cells": len(sections.cells(bad)),
        "all_cells": len(sections.cells(results)),
        "costs": report.costs,
        "capabilities": sections.capabilities(about.capabilities, runs, methods),
        "reference": next((info.title for info in methods.values() if info.reference), ""),
        "methods": [methods[name] for name in used if name in methods],
        "settings": {methods[name].title if name in methods else name: values for name, values in about.settings.items()},
        "datasets": datasets,
        "dataset_count": results[results.test_set == ""].dataset.nunique(),
        "method_count": len([name for name in dict.fromkeys(results.method) if name != about.zero_shot]),
        "shots": sorted({int(value) for value in pd.to_numeric(results.shots, errors="coerce").dropna()}),
        "baseline_title": methods[about.zero_shot].title if about.zero_shot in methods else about.zero_shot,
        "details": details.packed(results, about.zero_shot, methods, titles),
        "css": (HERE / "assets" / "style.css").read_text(encoding="utf-8"),
        "script": "\n".join((HERE / "assets" / name).read_text(encoding="utf-8") for name in SCRIPTS),
    }
    return _environment().get_template("page.html.j2").render(context)


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        num=words.number,
        signed=words.signed,
        count=words.count,
        duration=words.duration,
        plural=words.plural,
        weblink=weblink,
    )
    return environment


def weblink(text: object) -> bool:
    """True if ``text`` is an address that may stand in a link."""
    return isinstance(text, str) and text.startswith(("https://", "http://")) and not any(c.isspace() for c in text)


def _pairs(
    results: pd.DataFrame,
    about: About,
    methods: Mapping[str, Info],
    datasets: Mapping[str, DatasetAbout],
    view: Scope,
    covariances: Covariances | None,
    costs: Sequence[CostRow],
) -> list[PairView]:
    """The pairs of the run in their order, then any others that the results have."""
    rows = headline(results, about.zero_shot, methods, covariances)
    others = [tuple(pair) for pair in results[["old", "new"]].drop_duplicates().itertuples(index=False, name=None)]
    titles = {name: dataset.title for name, dataset in datasets.items()}
    found = []
    for index, (old, new) in enumerate(dict.fromkeys([*about.pairs, *others])):
        pair = table_prep.pair_name(results, old, new)
        mine = [row for row in rows if row.pair == pair]
        name = f"{old} \N{RIGHTWARDS ARROW} {new}"
        drawings = _drawings(results, mine, view, about.zero_shot, titles, costs, (old, new, name))
        found.append(PairView(f"pair-{index + 1}", name, old, new, words.findings(mine, view), mine, drawings))
    return found


def _drawings(
    results: pd.DataFrame,
    rows: list[MethodRow],
    view: Scope,
    baseline: str,
    titles: Mapping[str, str],
    costs: Sequence[CostRow],
    names: tuple[str, str, str],
) -> list[Figure]:
    """The figures of one pair. ``names``: old, new, and what the pair is called."""
    from benchmark.report import charts, scatter  # draw with matplotlib: not before there is something to draw

    old, new, name = names
    made = [
        charts.heat_map(results, rows, view, baseline, titles, name),
        charts.slopes(rows, view, old, new),
        scatter.base_and_new(rows, view, name),
        scatter.flips(rows, name),
        scatter.pareto(rows, {row.label: row for row in costs}, view, name),
    ]
    return [figure for figure in made if figure]


def _names(results: pd.DataFrame, views: list[PairView]) -> dict[str, str]:
    """How the page writes each pair that the results have."""
    found = {table_prep.pair_name(results, view.old, view.new): view.name for view in views}
    return {pair: name for pair, name in found.items() if pair is not None}
