"""Which packs share a table, and what keeps others apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from fixtures.packs import made
from fixtures.results import ABOUTS, METHODS

from benchmark.report.method_rows import first_tables
from benchmark.report.site.boards import Board, boards
from benchmark.report.site.sources import Source, parts_of
from benchmark.results.archive import RunResults


def of(**runs: RunResults) -> list[Board]:
    """The tables of v1 -> v2 of packs of these names."""
    sources = [Source(f"{name}.pack", name, replace(run, folder=Path(f"{name}.pack"))) for name, run in runs.items()]
    return [board for board in boards(parts_of(sources)) if board.upgrade.pair == "v1->v2"]


def test_one_pack_has_the_rows_of_its_report() -> None:
    (board,) = of(a=made())
    whole = [row for row in first_tables(made()).rows if row.pair == "v1->v2"]
    assert [(row.label, row.rank, row.verdict, row.lift.low) for row in board.rows] == [
        (row.label, row.rank, row.verdict, row.lift.low) for row in whole
    ]
    assert board.conflicts == []


def test_packs_with_other_methods_are_one_table() -> None:
    (board,) = of(a=made("prompt", "prompt-b"), b=made("adapter", "prompt"))
    by_label = {row.label: board.packs_of(row) for row in board.rows}
    assert by_label == {
        "zero": ["a.pack", "b.pack"],
        "prompt": ["a.pack", "b.pack"],
        "prompt-b": ["a.pack"],
        "adapter": ["b.pack"],
    }
    ranks = {row.label: row.rank for row in board.rows}
    assert ranks["prompt"] == ranks["prompt-b"] == (1, 2), "tied, whichever mean is higher"


def test_devices_have_tables_of_their_own() -> None:
    found = of(a=made(), b=made(device="cuda:0"), c=made(device="cuda:1"))
    assert [(board.device, board.packs) for board in found] == [("cpu", ["a.pack"]), ("cuda", ["b.pack", "c.pack"])]


def other_values() -> RunResults:
    run = made()
    return replace(run, results=run.results.assign(value=run.results.value + 1))


CONFLICTS = {
    "values": (other_values, "values differ between a.pack and b.pack, the first: zero on v1->v2"),
    "shots": (lambda: replace(made(), results=made().results.assign(shots=4)), "4 shots in b.pack and 16 in a.pack"),
    "numerics": (lambda: made(versions={"numerics": "7"}), "numerics version of the suite is 8 in a.pack and 7 in b.pack"),
    "settings": (lambda: made(settings={"prompt": {"lr": 0.1}}), "prompt has lr 0.002 in a.pack and 0.1 in b.pack"),
    "version": (
        lambda: replace(made(), methods={**METHODS, "prompt": replace(METHODS["prompt"], version=2)}),
        "prompt has version 1 in a.pack and 2 in b.pack",
    ),
    "template": (
        lambda: replace(made(), datasets={**ABOUTS, "icons": replace(ABOUTS["icons"], template="{}")}),
        "icons has the template 'a {}.' in a.pack and '{}' in b.pack",
    ),
}


@pytest.mark.parametrize("name", CONFLICTS)
def test_what_contradicts_has_a_table_of_its_own(name: str) -> None:
    make, words = CONFLICTS[name]
    first, second = of(a=made(), b=make())
    assert (first.packs, first.conflicts) == (["a.pack"], [])
    assert second.packs == ["b.pack"]
    assert len(second.conflicts) == 1
    assert words in second.conflicts[0]


def test_a_third_pack_joins_the_table_that_it_agrees_with() -> None:
    first, second = of(a=made(), b=other_values(), c=replace(other_values(), runs=made().runs))
    assert (first.packs, second.packs) == (["a.pack"], ["b.pack", "c.pack"])


def test_settings_that_depend_on_the_task_are_no_conflict() -> None:
    (board,) = of(a=made(), b=made(settings={"prompt": {"lr": "0.1, 0.002 (by task)"}}))
    assert board.packs == ["a.pack", "b.pack"]
