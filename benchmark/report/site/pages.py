"""Renders a leaderboard and writes it: an index, and a page for each upgrade."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.config.files import write_atomically
from benchmark.report import templating, words
from benchmark.report.model import MethodRow, Scope
from benchmark.report.numbers import DASH, listing
from benchmark.report.site.boards import Board, boards
from benchmark.report.site.cells import YAML, CellRow, Cells, snippet
from benchmark.report.site.sources import SHORT, Source, Upgrade, parts_of
from benchmark.report.table import Cell, Column, Table, Text

INDEX = "index.html"
NAMED = 6
"""Methods that the index names for each table."""


@dataclass(frozen=True, eq=False)
class BoardView:
    """What a page shows of a table."""

    board: Board
    anchor: str
    title: str
    findings: list[str]
    table: Table
    cells: list[list[CellRow]]
    """Of every row of the table, baselines first."""
    best: str
    """The methods that are best or tied with the best."""
    verdicts: str
    """How many methods have each verdict."""
    snippet: str


def write(folder: Path, sources: Sequence[Source]) -> list[Path]:
    """Write the pages; the same packs give the same bytes.

    Args:
        folder: Where they go.
        sources: The packs.

    Returns:
        The files, the index first.

    Raises:
        UserError: a file cannot be written.
    """
    pages = render(sources)
    for name, text in pages.items():
        write_atomically(folder / name, text.encode())
    return [folder / name for name in pages]


def render(sources: Sequence[Source]) -> dict[str, str]:
    """The pages by the names of their files, the index first."""
    found = boards(parts_of(sources))
    by_upgrade: dict[tuple[str, str], list[Board]] = {}
    for board in found:
        by_upgrade.setdefault(board.upgrade.key, []).append(board)
    views = {key: _views(own) for key, own in by_upgrade.items()}
    upgrades = [own[0].upgrade for own in by_upgrade.values()]
    notes = {upgrade.key: _notes(upgrade, by_upgrade[upgrade.key], upgrades) for upgrade in upgrades}
    shared: dict[str, Any] = {
        "css": templating.text("style.css") + templating.text("site.css"),
        "script": templating.text("theme.js"),
        "short": SHORT,
    }
    environment = templating.environment()
    groups = [(upgrade, views[upgrade.key], notes[upgrade.key]) for upgrade in upgrades]
    methods = {row.label for board in found for row in board.rows if not row.baseline}
    devices = sorted({board.device for board in found})
    index = {
        "sources": sources,
        "groups": groups,
        "methods": len(methods),
        "devices": devices,
        "warnings": _warnings(sources),
    }
    pages = {INDEX: environment.get_template("site_index.html.j2").render(**shared, **index)}
    page = environment.get_template("site_upgrade.html.j2")
    for upgrade, own, told in groups:
        named = {name for view in own for name in view.board.packs}
        used = [source for source in sources if source.name in named]
        context = {"upgrade": upgrade, "views": own, "notes": told, "warnings": _warnings(used), "sources": used}
        pages[upgrade.page] = page.render(**shared, **context, file=YAML, index=INDEX)
    return pages


def _views(own: Sequence[Board]) -> list[BoardView]:
    """What the page of an upgrade shows."""
    views = []
    for number, board in enumerate(own, 1):
        cells, rows = Cells(board), board.rows
        ordered = [row for row in rows if row.baseline] + [row for row in rows if not row.baseline]
        tied = [row.label for row in rows if row.place]
        place = [row.place for row in rows if row.place]
        view = BoardView(
            board=board,
            anchor=f"table-{number}",
            title=f"{board.view.protocol} on {board.device}",
            findings=words.findings(rows, board.view),
            table=leaderboard_table(rows, board.view, {row.label: listing(board.packs_of(row)) for row in rows}),
            cells=[cells.of(row) for row in ordered],
            best=f"{_few(tied)} ({'best' if len(tied) == 1 and place == ['best'] else 'tied with the best'})"
            if tied
            else DASH,
            verdicts=_counted(rows),
            snippet=snippet(board.upgrade, board.run.about.preset),
        )
        views.append(view)
    return views


def _few(names: Sequence[str]) -> str:
    return listing([*names[:NAMED], f"{len(names) - NAMED} more"] if len(names) > NAMED else names)


def _counted(rows: Sequence[MethodRow]) -> str:
    """How many methods have each verdict."""
    counts = Counter(row.verdict for row in rows if not row.baseline)
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in words.VERBS if counts[verdict])


def leaderboard_table(rows: Sequence[MethodRow], view: Scope, packs: Mapping[str, str]) -> Table:
    """One row for each method on one upgrade, with its ranks.

    Args:
        rows: Of one upgrade, in the order of the table.
        view: What the headline is about.
        packs: Where every method comes from, by its label.
    """
    parts = ["Base", "New", view.split] if view.parts else ["Accuracy"]
    columns = (
        Column("Method", numeric=False, key=True),
        Column("Ranks", numeric=False),
        Column("Verdict", numeric=False),
        Column("Lift", interval=True),
        *(Column(part, "Reuse", first_of_group=i == 0, main=i == len(parts) - 1) for i, part in enumerate(parts)),
        Column("Retrain", first_of_group=True),
        Column("Packs", numeric=False),
    )

    def cells(row: MethodRow) -> tuple[Cell, ...]:
        reuse = (row.reuse.base, row.reuse.new, row.reuse.main) if view.parts else (row.reuse.main,)
        verdict = Text("baseline") if row.baseline else Text(row.verdict, note=row.note, verdict=True)
        return (row.label, _ranks(row), verdict, row.lift, *reuse, row.retrain, packs[row.label])

    caption = (
        "Ranks: by reuse, from 1 plus the number of methods that are significantly better. Lift: reuse minus zero-shot on "
        "the new backbone, in points; its interval decides the verdict and holds for all methods of the table (95 %)."
    )
    judged, baselines = ([row for row in rows if row.baseline is kind] for kind in (False, True))
    return Table(
        "leaderboard", columns, tuple(map(cells, judged)), tuple(map(cells, baselines)), caption=caption, style="headline"
    )


def _ranks(row: MethodRow) -> Text:
    if row.rank is None:
        return Text(DASH)
    first, last = row.rank
    return Text(
        f"{first} to {last}" if first < last else f"{first}", place=row.place or ("" if first < last else "not tied")
    )


def _notes(upgrade: Upgrade, own: Sequence[Board], upgrades: Sequence[Upgrade]) -> list[str]:
    """Why an upgrade has several tables, and which other upgrades have its name."""
    notes = [
        f"{listing(board.packs)} {_have(board)} a separate table: {'; '.join(board.conflicts)}."
        for board in own
        if board.conflicts
    ]
    devices = sorted({board.device for board in own})
    if len(devices) > 1:
        notes.append(f"Values of {listing(devices)} are not comparable: every kind of device has separate tables.")
    for other in upgrades:
        if other.names == upgrade.names and other.key != upgrade.key:
            notes.append(f"Another upgrade is called {other.title} too; its backbones have other weights ({other.digests}).")
    return notes


def _have(board: Board) -> str:
    return "has" if len(board.parts) == 1 else "have"


def _warnings(sources: Sequence[Source]) -> dict[str, str]:
    """The notes of runs that must be read with their values, and the packs that have them."""
    packs: dict[str, list[str]] = {}
    for source in sources:
        if source.run.about.warning:
            packs.setdefault(source.run.about.warning, []).append(source.name)
    return {text: listing(names) for text, names in packs.items()}
