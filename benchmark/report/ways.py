"""The measured ways to go on at an upgrade, in words and as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmark.report.model import Scope
from benchmark.report.table import Column, Interval, Table
from benchmark.report.table_prep import label
from benchmark.results.decision import KEEP, RETRAIN, STAY, Candidate, Decision, keeps, ways

Repairs = Sequence[Mapping[str, Any]]
"""See ``About.repairs``."""


def repair_of(way: str, repairs: Repairs) -> Mapping[str, Any] | None:
    """The repair that a way is; None if it is none."""
    return next((repair for repair in repairs if repair["strategy"] == way), None)


def ways_table(decision: Decision, repairs: Repairs, view: Scope, name: str, old: str, new: str) -> Table | None:
    """The best method of every way, from cheap to costly; None if there is none."""
    rows = []
    for way in ways(repairs):
        best = _shown(decision, way.name)
        if best is None:
            continue
        lift = Interval(best.over_none, *best.interval)
        title, takes = _described(way.name, repairs, old, new)
        rows.append((title, label(best.method, best.config), lift, best.accuracy, _role(decision, way.name), takes))
    columns = (
        Column("Way", numeric=False, key=True),
        Column("Best method", numeric=False),
        Column("Over no module", interval=True),
        Column(view.word[0].upper() + view.word[1:]),
        Column("In the answer", numeric=False),
        Column("Takes", numeric=False, wide=True),
    )
    caption = (
        f"The best method of every way that was measured, or that of the answer, against {new} without a module. The "
        "intervals hold for all methods of a way at the same time (95 %)."
    )
    return Table(f"ways {name}", columns, tuple(rows), caption=caption) if rows else None


def _shown(decision: Decision, way: str) -> Candidate | None:
    """The candidate that stands for a way: the one that the answer names, else the best."""
    named = [one for one in (decision.choice, *decision.tied) if one is not None and one.way == way]
    return named[0] if named else decision.best.get(way)


def _described(way: str, repairs: Repairs, old: str, new: str) -> tuple[str, str]:
    """What a way is called, and what it takes."""
    repair = repair_of(way, repairs)
    if repair is not None:
        both = f"{old} and {new} for every image" if keeps(repair) else "the two backbones, once"
        return repair["title"], both
    return {
        KEEP: (f"keep the module, on {new}", "nothing"),
        STAY: (f"stay on {old}", f"{old} for good"),
        RETRAIN: (f"retrain on {new}", "the labelled training images"),
    }[way]


def _role(decision: Decision, way: str) -> str:
    if decision.choice is not None and decision.choice.way == way:
        return "chosen"
    if any(one.way == way for one in decision.tied):
        return "not significantly better"
    best = decision.best[way]
    if not best.better:
        return "not significantly better than no module"
    return f"harms on {best.harms_on}" if best.harms_on else ""
