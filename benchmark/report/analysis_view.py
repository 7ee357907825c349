"""The contract of an analysis in the report: sentences, figures and tables made from its finished table.

To add one, put a file with a subclass of ``View`` into ``benchmark/report/analyses/``. Without one the report shows the
table as it is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, ClassVar

import pandas as pd
from pandas.api.types import is_bool_dtype, is_integer_dtype, is_numeric_dtype

from benchmark.analysis.base import Analysis, all_analyses
from benchmark.analysis.findings import Finding, Findings
from benchmark.config.discovery import classes_in
from benchmark.config.files import slug
from benchmark.report import analyses
from benchmark.report.model import AnalysisSection, Figure
from benchmark.report.numbers import arrow, duration, plural, signed
from benchmark.report.table import Column, Table

SCRIPT = "python run_benchmark.py"


class View:
    """What the report shows of an analysis; this one shows the table alone."""

    analysis: ClassVar[str] = ""
    """Name of the analysis."""

    def sentences(self, table: pd.DataFrame) -> Sequence[str]:
        """What the table says."""
        return ()

    def figures(self, table: pd.DataFrame) -> Sequence[Figure | None]:
        """Drawings; None in place of one that has no data."""
        return ()

    def tables(self, table: pd.DataFrame) -> Sequence[Table]:
        numeric = {name: is_numeric_dtype(kind) and not is_bool_dtype(kind) for name, kind in table.dtypes.items()}
        columns = tuple(
            Column(str(name), numeric=numeric[name], digits=0 if is_integer_dtype(kind) else 2)
            for name, kind in table.dtypes.items()
        )
        rows = tuple(
            tuple(float(row[name]) if numeric[name] else arrow(row[name]) for name in table.columns)
            for row in table.to_dict("records")
        )
        return (Table("Results", columns, rows),)

    def answers(self, finding: Finding) -> dict[str, str]:
        """By upgrade, a sentence for the report's first screen."""
        return {}


@lru_cache(maxsize=1)
def all_views() -> dict[str, View]:
    """The views by the name of their analysis."""
    return {cls.analysis: cls() for cls in classes_in(analyses, View)}


def sections(findings: Findings, command: str = "") -> list[AnalysisSection]:
    """All analyses in order, one section for each data set; those that were not run have only their command, with the YAML
    that the run's ``command`` names."""
    given = re.search(r"--upgrade-pairs[ =](\S+)", command)
    pairs = f" --upgrade-pairs {given[1]}" if given else ""
    program = SCRIPT if command.startswith(SCRIPT) else "clip-compat"  # as for the run, however the report was started
    shown: list[AnalysisSection] = []
    for name, analysis in all_analyses().items():
        finished = [finding for finding in findings.get(name, ()) if not finding.table.empty]
        shown += [_section(analysis, finding, name if place == 0 else "") for place, finding in enumerate(finished)]
        if not finished:
            todo = f"{program} analyse {name}{pairs}"
            shown.append(AnalysisSection(name, analysis.explains, name, analysis.title, analysis.question, todo))
    return shown


def _section(analysis: Analysis, finding: Finding, anchor: str) -> AnalysisSection:
    run, view = finding.provenance, all_views().get(analysis.name, View())
    how = f"On {run.title} ({run.dataset}), {plural(len(run.seeds), 'seed')}, {run.device}, in {duration(run.seconds)}"
    place = slug(run.dataset)
    figures = [replace(figure, name=f"{figure.name}-{place}") for figure in view.figures(finding.table) if figure]
    tables = [replace(table, file=f"{analysis.name} {run.dataset} {table.title}") for table in view.tables(finding.table)]
    return AnalysisSection(
        analysis.name,
        analysis.explains,
        anchor or f"{analysis.name}-{place}",
        f"{analysis.title}: {run.title}",
        analysis.question,
        run.command,
        tuple(view.sentences(finding.table)),
        tuple(figures),
        tuple(tables),
        f"{how}, {run.created}.",
        run.warning,
    )


def answers(findings: Findings) -> dict[str, str]:
    """By upgrade, what the analyses add to the report's answer; of each analysis its first data set."""
    by_pair: dict[str, list[str]] = {}
    for name, view in all_views().items():
        for finding in list(findings.get(name, ()))[:1]:
            for pair, sentence in view.answers(finding).items():
                by_pair.setdefault(arrow(pair), []).append(sentence)
    return {pair: " ".join(sentences) for pair, sentences in by_pair.items()}


def items(table: Any) -> list[tuple[tuple[Any, ...], Any]]:
    """The rows of a frame or series with their index as a tuple."""
    pairs = table.iterrows() if isinstance(table, pd.DataFrame) else table.items()
    return [(tuple(key) if isinstance(key, tuple) else (key,), row) for key, row in pairs]


def range_of(low: float, high: float) -> str:
    """An interval in words."""
    return f"{signed(low)} to {signed(high)}" if math.isfinite(low) and math.isfinite(high) else ""
