"""Whether finished cells are what was computed: their hashes, their names, and the modules that they evaluated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from benchmark.experiment.plan import Cell, Job
from benchmark.experiment.store import FINAL, MODULE, RECORD, Store, cell_hash

AT_ONCE = 1000
"""Cells that wait for their turn."""
THREADS = 4
"""They wait for the disk, and hashing does not hold the GIL."""


@dataclass(frozen=True, slots=True)
class Brief:
    """What a run needs to know of a finished cell."""

    status: str
    seconds: float
    plugin: str | None
    """Hash of the file of its method."""
    module: str | None
    """Hash of the module that it left."""
    read: str | None
    """Hash of the module that it evaluated."""


@dataclass(frozen=True)
class Survey:
    """The cells of a plan that are on disk and verify, by key, and what was wrong with those that were removed. Every record
    is read once."""

    cells: dict[str, Brief]
    problems: dict[str, str] = field(default_factory=dict)

    def status(self, key: str) -> str | None:
        """Of a sound cell; None if there is none."""
        brief = self.cells.get(key)
        return None if brief is None else brief.status

    def is_final(self, cell: Cell) -> bool:
        """Whether another run would only repeat a cell."""
        return self.status(cell.key) in FINAL


def survey(store: Store, jobs: Sequence[Job], *, files: bool = True) -> Survey:
    """Read the records of all cells of ``jobs``, and remove those that do not verify, so that they are computed again; a
    training takes the evaluations of its module with it.

    Args:
        store: Where the cells are.
        jobs: Those of a plan.
        files: Whether the files of the cells are read too, and not only the records. Without, nothing is removed.
    """
    there = store.keys()
    keys = list(dict.fromkeys(cell.key for job in jobs for cell in (job.train, *job.evals) if cell.key in there))
    seen = {key: found for key, found in _seen(store, keys, files=files) if found}
    problems = {key: found for key, found in seen.items() if isinstance(found, str)}
    cells = {key: found for key, found in seen.items() if isinstance(found, Brief)}
    if not files:
        return Survey(cells)
    for job in jobs:
        trained = cells.get(job.train.key)
        for cell in job.evals:
            brief = cells.get(cell.key)
            if brief is not None and (problem := _stale(brief, trained)):
                problems[cell.key] = problem
            elif brief is not None and job.train.key in problems:
                problems.setdefault(cell.key, "its module is computed again")
    for key in problems:
        store.drop(key)
        cells.pop(key, None)
    return Survey(cells, problems)


def _seen(store: Store, keys: Sequence[str], *, files: bool) -> Iterator[tuple[str, Brief | str]]:
    """(key, what is there): a sound cell, what is wrong with it, or "" if there is none."""

    def look(key: str) -> Brief | str:
        if not (store.folder(key) / RECORD).exists():
            return ""
        record = store.record(key)
        problem = store.damage(key, record) if files else "" if record else "damaged"
        return problem or _brief(record or {})

    with ThreadPoolExecutor(THREADS) as pool:
        for start in range(0, len(keys), AT_ONCE):
            some = keys[start : start + AT_ONCE]
            yield from zip(some, pool.map(look, some), strict=True)


def _brief(record: Mapping[str, Any]) -> Brief:
    read = record.get("read")
    return Brief(
        str(record["status"]),
        float(record.get("seconds", 0.0)),
        record.get("plugin"),
        record["files"].get(MODULE),
        None if read is None else read[MODULE],
    )


def _stale(brief: Brief, trained: Brief | None) -> str:
    """Why an evaluation does not belong to the module that is there; "" if it does, or if it evaluated none."""
    if brief.read is None:
        return ""
    if trained is None or trained.module is None:
        return "its module is not there"
    return "" if brief.read == trained.module else "its module was trained again"


def examine(store: Store) -> Iterator[tuple[str, str]]:
    """(key, problem) of every cell of a results folder, whatever run made it; the problem is "" for a sound one."""
    keys = sorted(folder.name for folder in (store.root / "cells").glob("*/*") if folder.is_dir())
    with ThreadPoolExecutor(THREADS) as pool:
        for key, problem in zip(keys, pool.map(lambda key: store.damage(key, store.record(key)), keys), strict=True):
            yield key, problem or _contradiction(store, key)


def _contradiction(store: Store, key: str) -> str:
    """What is wrong between a sound cell and its surroundings."""
    record = store.record(key)
    assert record is not None
    if cell_hash(record["config"]) != key:
        return "its name is not that of its configuration"
    module = record["config"].get("module")
    if not isinstance(module, str):
        return ""
    trained = store.record(module)
    return _stale(_brief(record), None if trained is None else _brief(trained))
