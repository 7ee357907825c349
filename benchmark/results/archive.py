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
"""What a report says beyond the CSVs."""
SCHEMA = 2
"""Version of the tables' columns and of run.json; 1 had other words (see ``legacy``)."""
CELL = [name for name in COLUMNS if name not in ("value", "n", "status", "reason")]


@dataclass(frozen=True, eq=False)
class RunResults:
    """The results of a run as tidy tables, and their provenance. ``read`` reads them from a results folder."""

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
        facts = json.loads((folder / FILE).read_text(encoding="utf-8"))
        if facts.get("schema", 1) > SCHEMA:
            raise UserError(f"{folder} was written by a later version", fix="update this checkout")
        facts = modern_facts(facts)
        results, runs, uncertainty = (_table(folder / name) for name in ("results.csv", "runs.csv", "uncertainty.csv"))
        methods = {name: Info(**_with_tuples(info)) for name, info in facts.get("methods", {}).items()}
        datasets = {name: DatasetAbout(**dataset) for name, dataset in facts["datasets"].items()}
        return RunResults(folder, results, runs, uncertainty, _about(facts["about"]), datasets, methods)
    except FileNotFoundError as error:
        fix = "run the benchmark first, or name its --out"
        raise UserError(f"{folder} has no finished results: no {Path(error.filename).name}", fix=fix) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        problem = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise UserError(f"{folder} cannot be read: {problem}", fix="run the benchmark on it again") from None


def _table(file: Path) -> pd.DataFrame:
    """A CSV; an empty field is an empty text, in a column of numbers NaN."""
    numbers = ("value", "n", "seconds", "train_seconds", "peak_mb", "parameters", "steps")
    return modernise(pd.read_csv(file, keep_default_na=False, na_values={name: [""] for name in numbers}))


def _about(facts: dict[str, Any]) -> About:
    published = [PublishedRow(**row) for row in facts["published"]]
    capabilities = [Capability(**_with_tuples(capability)) for capability in facts["capabilities"]]
    pairs = [tuple(pair) for pair in facts["pairs"]]
    return About(**{**facts, "published": published, "capabilities": capabilities, "pairs": pairs})


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
    results = pd.concat([run.results for run in runs]).drop_duplicates()
    differing = results[results.duplicated(CELL, keep=False)]
    if len(differing):
        row = differing.iloc[0]
        where = f"{row.method} on {row.pair}, {row.dataset} {row.protocol} {row.split}, seed {row.seed}, {row.strategy}"
        count = differing.duplicated(CELL).sum()
        what = f"{count} {'value differs' if count == 1 else 'values differ'} between the folders, the first: {where}"
        raise UserError(what, fix="leave one of the folders out")
    abouts = [run.about for run in runs]
    about = replace(
        first.about,
        command=" ; ".join(dict.fromkeys(about.command for about in abouts)),
        created=max(about.created for about in abouts),
        pairs=list(dict.fromkeys(pair for about in abouts for pair in about.pairs)),
        backbones=list({backbone["name"]: backbone for about in abouts for backbone in about.backbones}.values()),
        protocols=sorted({name for about in abouts for name in about.protocols}),
        seeds=sorted({seed for about in abouts for seed in about.seeds}),
        settings={name: values for about in reversed(abouts) for name, values in about.settings.items()},
        published=[row for about in abouts for row in about.published],
        notes={name: note for about in abouts for name, note in about.notes.items()},
        capabilities=list({method.name: method for about in abouts for method in about.capabilities}.values()),
        unknown={name: reason for about in abouts for name, reason in about.unknown.items()},
    )
    datasets = {name: dataset for run in runs for name, dataset in run.datasets.items()}
    computed = pd.concat([run.runs for run in runs]).drop_duplicates("key")
    uncertainty = pd.concat([run.uncertainty for run in runs]).drop_duplicates()
    methods = {name: info for run in runs for name, info in run.methods.items()}
    return RunResults(first.folder, results, computed, uncertainty, about, datasets, methods)


def _check_alike(first: RunResults, other: RunResults) -> None:
    kinds = [run.about.device.partition(":")[0] for run in (first, other)]
    if kinds[0] != kinds[1]:
        what = f"{first.folder} was computed on {kinds[0]}, {other.folder} on {kinds[1]}: their values are not comparable"
        raise UserError(what, fix="make a separate report of each folder")
    digests = {backbone["name"]: backbone["digest"] for backbone in first.about.backbones}
    for backbone in other.about.backbones:
        if digests.get(backbone["name"], backbone["digest"]) != backbone["digest"]:
            what = f"backbone {backbone['name']!r} has other weights in {other.folder} than in {first.folder}"
            raise UserError(what, fix="give one of them another name")
