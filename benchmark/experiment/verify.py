"""Whether finished cells are what was computed: their hashes, their names, and the modules that they evaluated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmark.experiment.plan import Job
from benchmark.experiment.store import MODULE, RECORD, Store, cell_hash

THREADS = 4
"""They wait for the disk, and hashing does not hold the GIL."""


def remove_damaged(store: Store, jobs: Sequence[Job]) -> dict[str, str]:
    """Remove the finished cells of ``jobs`` that do not verify, so that they are computed again; returns what was wrong, by
    key. A training takes the evaluations of its module with it."""
    keys = list(dict.fromkeys(cell.key for job in jobs for cell in (job.train, *job.evals)))
    problems = {key: problem for key, problem in _damages(store, keys) if problem}
    for job in jobs:
        trained = store.record(job.train.key)
        for cell in job.evals:
            record = store.record(cell.key)
            if cell.key not in problems and record is not None and (problem := _stale(record, trained)):
                problems[cell.key] = problem
            elif record is not None and job.train.key in problems:
                problems.setdefault(cell.key, "its module is computed again")
    for key in problems:
        store.drop(key)
    return problems


def _damages(store: Store, keys: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(key, problem) of the cells that have a record."""
    finished = [key for key in keys if (store.folder(key) / RECORD).exists()]
    with ThreadPoolExecutor(THREADS) as pool:
        yield from zip(finished, pool.map(store.damage, finished), strict=True)


def _stale(record: dict[str, Any], trained: dict[str, Any] | None) -> str:
    """Why an evaluation does not belong to the module that is there; "" if it does, or if it evaluated none."""
    if "read" not in record:
        return ""
    if trained is None or MODULE not in trained["files"]:
        return "its module is not there"
    return "" if record["read"][MODULE] == trained["files"][MODULE] else "its module was trained again"


def examine(store: Store) -> Iterator[tuple[str, str]]:
    """(key, problem) of every cell of a results folder, whatever run made it; the problem is "" for a sound one."""
    keys = sorted(folder.name for folder in (store.root / "cells").glob("*/*") if folder.is_dir())
    with ThreadPoolExecutor(THREADS) as pool:
        for key, problem in zip(keys, pool.map(store.damage, keys), strict=True):
            yield key, problem or _contradiction(store, key)


def _contradiction(store: Store, key: str) -> str:
    """What is wrong between a sound cell and its surroundings."""
    record = store.record(key)
    assert record is not None
    if cell_hash(record["config"]) != key:
        return "its name is not that of its configuration"
    module = record["config"].get("module")
    return _stale(record, store.record(module)) if isinstance(module, str) else ""
