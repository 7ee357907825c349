"""The content of a report, computed and drawn, before it is written as a page or as files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from benchmark.report.gallery import Gallery
from benchmark.report.method_view import MethodView
from benchmark.report.model import AnalysisSection, Answer, Figure, KeyNumber, MethodRow, Scope, Section
from benchmark.report.table import Table
from benchmark.report.table_prep import Prepared
from benchmark.results.archive import RunResults


@dataclass(frozen=True)
class PairView:
    """Everything that the page shows of one pair."""

    anchor: str
    name: str
    old: str
    new: str
    findings: list[str]
    by_method: Mapping[str, list[str]]
    """Sentences about one method, by its label."""
    rows: list[MethodRow]
    table: Table
    metrics: Table | None
    """The metrics that are not in ``table``."""
    drawings: list[Figure]
    lost: Gallery | None = None
    """The images that modules lose."""

    @property
    def order(self) -> str:
        """A sentence about the order of the table's rows."""
        competing = [row for row in self.rows if not row.baseline and row.complete]
        if len(competing) > 1 and not competing[0].lift.known:
            return "Without intervals the rows are in the order of their means, which is not a ranking."
        return ""


@dataclass(frozen=True, eq=False)
class Report:
    """The content of the page and of the files next to it; a table that would be empty is None."""

    run: RunResults
    prepared: Prepared
    view: Scope
    headline: str
    answers: list[Answer]
    by_method: list[MethodView]
    numbers: list[KeyNumber]
    picture: Figure | None
    overview: Table | None
    pairs: list[PairView]
    ways: Mapping[str, Table]
    """The ways to go on that were measured, by the anchor of the upgrade."""
    sections: list[Section]
    analyses: list[AnalysisSection]
    costs: Table | None
    capabilities: Table | None
    failures: Table | None
    published: Table | None
