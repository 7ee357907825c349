"""The results of a run as one object: written into its folder, read again, and several of them merged."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from benchmark.config.errors import UserError
from benchmark.experiment.store import Store, write_atomically
from benchmark.method.base import Info
from benchmark.results.legacy import modern_facts, modernise
from benchmark.results.provenance import About, DatasetAbout, PublishedRow
from benchmark.results.summary import COLUMNS
from benchmark.results.tables import write_csv
from benchmark.training.checks.capability import Capability

FILE = "run.json"
"""What a report says that the CSVs do not hold."""
SCHEMA = 2
"""Version of the tables' columns and of run.json; 1 had other words (see ``legacy``)."""
CELL = [name for name in COLUMNS if name not in ("value", "n", "status", "reason")]


@dataclass(frozen=True, eq=False)
class RunResults:
    """All that a run found, as tidy tables, and how it was made. Read from a results folder with ``read``."""

    folder: Path
    results: pd.DataFrame
    """One row per value; columns ``summary.COLUMNS``."""
    runs: pd.DataFrame
    """Time, memory and sizes of every cell; columns ``tables.RUN_COLUMNS``."""
    uncertainty: pd.DataFrame
    """What the test images contribute to the uncertainty; columns ``image_covariance.COLUMNS``."""
    about: About
    datasets: dict[str, DatasetAbout] = field(default_factory=dict)
    methods: Mapping[str, Info] = field(default_factory=dict)
    """What the methods declare, by name."""


def save(run: RunResults) -> None:
    """Write the tables and run.json into the results folder."""
    store = Store(run.folder)
    for name, table in (("results", run.results), ("runs", run.runs), ("uncertainty", run.uncertainty)):
        write_csv(table, store, f"{name}.csv")
    content = {
        "schema": SCHEMA,
        "about": asdict(run.about),
        "datasets": {name: asdict(dataset) for name, dataset in run.datasets.items()},
        "methods": {name: asdict(info) for name, info in run.methods.items()},
    }
    write_atomically(run.folder / FILE, (json.dumps(content, indent=1) + "\n").encode())


def read(folder: Path) -> RunResults:
    """A results folder, also one that an earlier version wrote.

    Raises:
        UserError: something is missing or broken.
    """
    try:
        told = modern_facts(json.loads((folder / FILE).read_text(encoding="utf-8")))
        results, runs, uncertainty = (_table(folder / name) for name in ("results.csv", "runs.csv", "uncertainty.csv"))
        methods = {name: Info(**_with_tuples(each)) for name, each in told.get("methods", {}).items()}
        datasets = {name: DatasetAbout(**each) for name, each in told["datasets"].items()}
        return RunResults(folder, results, runs, uncertainty, _about(told["about"]), datasets, methods)
    except FileNotFoundError as error:
        fix = "run the benchmark first, or name its --out"
        raise UserError(f"{folder} has no finished results: no {Path(error.filename).name}", fix=fix) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        problem = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise UserError(f"{folder} cannot be read: {problem}", fix="run the benchmark on it again") from None


def _table(file: Path) -> pd.DataFrame:
    """A CSV; what is empty is empty text, but in columns of numbers no number."""
    numbers = ("value", "n", "seconds", "train_seconds", "peak_mb", "parameters", "steps")
    return modernise(pd.read_csv(file, keep_default_na=False, na_values={name: [""] for name in numbers}))


def _about(told: dict[str, Any]) -> About:
    published = [PublishedRow(**row) for row in told["published"]]
    capabilities = [Capability(**_with_tuples(each)) for each in told["capabilities"]]
    pairs = [tuple(pair) for pair in told["pairs"]]
    return About(**{**told, "published": published, "capabilities": capabilities, "pairs": pairs})


def _with_tuples(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}


def merge(runs: Sequence[RunResults]) -> RunResults:
    """Several folders as one.

    Raises:
        UserError: they contradict each other, or were computed on different kinds of device.
    """
    first = runs[0]
    for other in runs[1:]:
        _check_alike(first, other)
    results = pd.concat([each.results for each in runs]).drop_duplicates()
    twice = results[results.duplicated(CELL, keep=False)]
    if len(twice):
        row = twice.iloc[0]
        where = f"{row.method} on {row.pair}, {row.dataset} {row.protocol} {row.split}, seed {row.seed}, {row.strategy}"
        what = f"{len(twice) // 2} figures differ between the folders, the first: {where}"
        raise UserError(what, fix="leave one of the folders out")
    about = replace(
        first.about,
        command=" ; ".join(dict.fromkeys(each.about.command for each in runs)),
        created=max(each.about.created for each in runs),
        pairs=list(dict.fromkeys(pair for each in runs for pair in each.about.pairs)),
        backbones=list({each["name"]: each for one in runs for each in one.about.backbones}.values()),
        protocols=sorted({name for each in runs for name in each.about.protocols}),
        seeds=sorted({seed for each in runs for seed in each.about.seeds}),
        settings={name: values for each in reversed(runs) for name, values in each.about.settings.items()},
        published=[row for each in runs for row in each.about.published],
        notes={name: note for each in runs for name, note in each.about.notes.items()},
        capabilities=list({each.name: each for one in runs for each in one.about.capabilities}.values()),
    )
    datasets = {name: each for one in runs for name, each in one.datasets.items()}
    computed = pd.concat([each.runs for each in runs]).drop_duplicates("key")
    uncertainty = pd.concat([each.uncertainty for each in runs]).drop_duplicates()
    methods = {name: info for one in runs for name, info in one.methods.items()}
    return RunResults(first.folder, results, computed, uncertainty, about, datasets, methods)


def _check_alike(first: RunResults, other: RunResults) -> None:
    kinds = [each.about.device.partition(":")[0] for each in (first, other)]
    if kinds[0] != kinds[1]:
        what = f"{first.folder} was computed on {kinds[0]}, {other.folder} on {kinds[1]}: their figures are not comparable"
        raise UserError(what, fix="make a report of each")
    digests = {each["name"]: each["digest"] for each in first.about.backbones}
    for each in other.about.backbones:
        if digests.get(each["name"], each["digest"]) != each["digest"]:
            what = f"backbone {each['name']!r} has other weights in {other.folder} than in {first.folder}"
            raise UserError(what, fix="give one of them another name")
