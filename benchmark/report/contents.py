"""All that a report says, computed and drawn, before it is written as a page or as files."""

from __future__ import annotations

from dataclasses import dataclass

from benchmark.report.model import AnalysisView, Answer, CostRow, Figure, KeyNumber, MethodRow, OverviewRow, Scope, Section
from benchmark.results.provenance import About


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
        competing = [row for row in self.rows if not row.baseline and row.complete]
        if len(competing) > 1 and not competing[0].lift.known:
            return "Without an interval the order is only the order of the means: it is not a ranking."
        return ""


@dataclass(frozen=True)
class Report:
    """All that the page and the files beside it say."""

    about: About
    view: Scope
    headline: str
    answers: list[Answer]
    numbers: list[KeyNumber]
    picture: Figure | None
    overview: list[OverviewRow]
    pairs: list[PairView]
    sections: list[Section]
    analyses: list[AnalysisView]
    costs: list[CostRow]
