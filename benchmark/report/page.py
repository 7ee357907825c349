"""Puts the page together and writes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from benchmark.compat import Covariances
from benchmark.report import frame, sections, words
from benchmark.report.model import About, DatasetAbout, Figure, MethodRow, Scope
from benchmark.report.tables import headline
from benchmark.store import write_atomically

if TYPE_CHECKING:
    from benchmark.method import Info

HERE = Path(__file__).parent


@dataclass(frozen=True)
class PairView:
    """Everything that the page shows of one pair."""

    anchor: str
    name: str
    old: str
    new: str
    findings: list[str]
    rows: list[MethodRow]
    drawings: list[Figure]

    @property
    def order(self) -> str:
        """What is said of the order of the table."""
        competing = [row for row in self.rows if not row.control and row.complete]
        if len(competing) > 1 and not competing[0].lift.known:
            return "Without an interval the order is only the order of the means: it is not a ranking."
        return ""


def write(
    file: Path,
    results: pd.DataFrame,
    runs: pd.DataFrame,
    about: About,
    methods: Mapping[str, Info],
    datasets: Mapping[str, DatasetAbout],
    covariances: Covariances | None = None,
) -> None:
    """Write the report to ``file``: one HTML page that needs nothing else. Same arguments, same bytes.

    ``results`` has the columns ``compat.COLUMNS``; ``runs`` has at least kind, method, config, status, seconds, peak_mb and
    parameters. Either may be empty. ``covariances`` say what the images contribute to the uncertainty; without, intervals
    cover seeds only.
    """
    write_atomically(file, render(results, runs, about, methods, datasets, covariances).encode())


def render(
    results: pd.DataFrame,
    runs: pd.DataFrame,
    about: About,
    methods: Mapping[str, Info],
    datasets: Mapping[str, DatasetAbout],
    covariances: Covariances | None = None,
) -> str:
    """The page as text."""
    results = frame.clean(results)
    view = frame.scope(results)
    views = _pairs(results, about, methods, datasets, view, covariances)
    used = list(dict.fromkeys([*results.method, *about.settings]))
    bad = results[results.status != "ok"]
    context: dict[str, Any] = {
        "about": about,
        "view": view,
        "pairs": views,
        "overview": _overview(views),
        "sections": sections.elsewhere(results, _names(results, views), about.zero_shot, methods, covariances),
        "failures": sections.failures(results, methods),
        "failed_cells": len(sections.cells(bad)),
        "all_cells": len(sections.cells(results)),
        "costs": sections.costs(runs, methods),
        "capabilities": sections.capabilities(about.capabilities, runs, methods),
        "yardstick": next((info.title for info in methods.values() if info.yardstick), ""),
        "methods": [methods[name] for name in used if name in methods],
        "settings": {methods[name].title if name in methods else name: values for name, values in about.settings.items()},
        "datasets": datasets,
        "dataset_count": results[results.variant == ""].dataset.nunique(),
        "method_count": len([name for name in dict.fromkeys(results.method) if name != about.zero_shot]),
        "shots": sorted({int(value) for value in pd.to_numeric(results.shots, errors="coerce").dropna()}),
        "control_title": methods[about.zero_shot].title if about.zero_shot in methods else about.zero_shot,
        "css": (HERE / "style.css").read_text(encoding="utf-8"),
        "script": (HERE / "sort.js").read_text(encoding="utf-8"),
    }
    return _environment().get_template("template.html.j2").render(context)


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
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
) -> list[PairView]:
    """The pairs of the run in their order, then any others that the results have."""
    from benchmark.report import figures  # matplotlib takes seconds to import: not before there is something to draw

    rows = headline(results, about.zero_shot, methods, covariances)
    others = [tuple(pair) for pair in results[["old", "new"]].drop_duplicates().itertuples(index=False, name=None)]
    titles = {name: dataset.title for name, dataset in datasets.items()}
    found = []
    for index, (old, new) in enumerate(dict.fromkeys([*about.pairs, *others])):
        pair = frame.pair_name(results, old, new)
        mine = [row for row in rows if row.pair == pair]
        name = f"{old} \N{RIGHTWARDS ARROW} {new}"
        drawings = [
            figures.slopes(mine, view, old, new),
            figures.heat_map(results, mine, view, about.zero_shot, titles, name),
        ]
        found.append(
            PairView(
                anchor=f"pair-{index + 1}",
                name=name,
                old=old,
                new=new,
                findings=words.findings(mine, view),
                rows=mine,
                drawings=[drawing for drawing in drawings if drawing],
            )
        )
    return found


def _names(results: pd.DataFrame, views: list[PairView]) -> dict[str, str]:
    """How the page writes each pair that the results have."""
    found = {frame.pair_name(results, view.old, view.new): view.name for view in views}
    return {pair: name for pair, name in found.items() if pair is not None}


def _overview(views: list[PairView]) -> list[tuple[str, list[MethodRow | None]]]:
    """Method by pair: label, and its row on each pair or None. Empty unless there are several pairs and some method."""
    if len(views) < 2:
        return []
    labels = dict.fromkeys(row.label for view in views for row in view.rows if not row.control)
    return [(label, [next((row for row in view.rows if row.label == label), None) for view in views]) for label in labels]
