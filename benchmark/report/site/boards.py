"""Which packs go into one table: those of the same upgrade, kind of device and scope that do not contradict each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmark.config.errors import UserError
from benchmark.report import table_prep
from benchmark.report.method_rows import first_tables
from benchmark.report.model import MethodRow, Scope
from benchmark.report.site.sources import Part, Upgrade
from benchmark.results import archive
from benchmark.results.archive import RunResults


@dataclass(frozen=True, eq=False)
class Board:
    """One table of a leaderboard."""

    upgrade: Upgrade
    device: str
    """Kind of device."""
    view: Scope
    parts: Sequence[Part]
    run: RunResults
    """The parts as one."""
    rows: Sequence[MethodRow]
    conflicts: Sequence[str]
    """Why its packs are not part of an earlier table of the same upgrade, device and scope."""

    @property
    def packs(self) -> list[str]:
        """Names of its packs."""
        return [part.source.name for part in self.parts]

    def packs_of(self, row: MethodRow) -> list[str]:
        """Names of the packs that have a method."""
        return [part.source.name for part in self.parts if (row.method, row.config) in part.configurations]


def boards(parts: Sequence[Part]) -> list[Board]:
    """The tables of all parts, those of one upgrade next to each other."""
    places: dict[tuple[Any, ...], list[Part]] = {}
    for part in parts:
        place = (part.upgrade.key, part.run.about.device_kind, part.view.protocol)
        places.setdefault(place, []).append(part)
    upgrades = list(dict.fromkeys(part.upgrade.key for part in parts))
    return [
        board
        for place, found in sorted(places.items(), key=lambda item: (upgrades.index(item[0][0]), *item[0][1:]))
        for board in _apart(found)
    ]


def _apart(parts: Sequence[Part]) -> Iterator[Board]:
    """The parts of one place as few tables: each part goes into the first one that it does not contradict."""
    groups: list[list[Part]] = []
    conflicts: list[list[str]] = []
    for part in parts:
        reasons = []
        for group in groups:
            reason = contradiction(group, part)
            if not reason:
                group.append(part)
                break
            reasons.append(reason)
        else:
            groups.append([part])
            conflicts.append(reasons)
    for group, reasons in zip(groups, conflicts, strict=True):
        run, first = archive.merge([part.run for part in group]), group[0]
        yield Board(first.upgrade, first.run.about.device_kind, first.view, group, run, first_tables(run).rows, reasons)


def contradiction(group: Sequence[Part], part: Part) -> str:
    """Why a part cannot be in one table with a group of others; empty if it can."""
    for other in group:
        reason = _differs(other, part)
        if reason:
            return reason
    try:
        archive.merge([*(other.run for other in group), part.run])
    except UserError as error:
        return error.message
    return ""


def _differs(one: Part, other: Part) -> str:
    """What was computed in different ways although it has one name; empty if nothing was."""
    first, second = one.run, other.run
    both = f"in {one.source.name} and {{}} in {other.source.name}"
    numerics = [run.about.versions.get("numerics", "unknown") for run in (first, second)]
    if numerics[0] != numerics[1]:
        return f"the numerics version of the suite is {numerics[0]} {both.format(numerics[1])}"
    shared = sorted(one.configurations & other.configurations)
    for method, config in shared:
        versions = [run.methods[method].version for run in (first, second) if method in run.methods]
        if len(set(versions)) > 1:
            return f"{method} has version {versions[0]} {both.format(versions[1])}"
        name = table_prep.label(method, config)
        settings = [run.about.settings.get(name, {}) for run in (first, second)]
        key = _differing(*settings)
        if key:
            return f"{name} has {key} {settings[0][key]} {both.format(settings[1][key])}"
    for name in sorted(first.datasets.keys() & second.datasets.keys()):
        templates = [run.datasets[name].template for run in (first, second)]
        if templates[0] != templates[1]:
            return f"{name} has the template {templates[0]!r} {both.format(repr(templates[1]))}"
    return ""


def _differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """The first setting that two runs have with different values. Those that depend on the task differ as the tasks do."""
    for key in one:
        values = [str(settings.get(key)) for settings in (one, other)]
        if key in other and values[0] != values[1] and not any(value.endswith("(by task)") for value in values):
            return key
    return ""
