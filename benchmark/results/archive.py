"""Write the report anew from finished results, without computing anything; several results folders become one report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from benchmark.config.errors import UserError
from benchmark.experiment.store import Store, write_atomically
from benchmark.results.provenance import About, DatasetAbout, PublishedRow
from benchmark.results.summary import COLUMNS
from benchmark.training.checks.capability import Capability

FILE = "run.json"
"""Beside the CSVs: what a report says that they do not hold."""
CELL = [name for name in COLUMNS if name not in ("value", "n", "status", "reason")]


@dataclass(frozen=True)
class Finished:
    """All that a results folder says."""

    folder: Path
    results: pd.DataFrame
    costs: pd.DataFrame
    uncertainty: pd.DataFrame
    about: About
    datasets: dict[str, DatasetAbout]


def save(store: Store, about: About, datasets: dict[str, DatasetAbout]) -> None:
    """Keep what a report says beside the figures."""
    content = {"about": asdict(about), "datasets": {name: asdict(each) for name, each in datasets.items()}}
    write_atomically(store.root / FILE, (json.dumps(content, indent=1) + "\n").encode())


def read(folder: Path) -> Finished:
    """A results folder.

    Raises:
        UserError: something is missing or broken.
    """
    try:
        told = json.loads((folder / FILE).read_text(encoding="utf-8"))
        figures, costs, images = (_table(folder / name) for name in ("results.csv", "runs.csv", "uncertainty.csv"))
        return Finished(folder, figures, costs, images, _about(told["about"]), _datasets(told["datasets"]))
    except FileNotFoundError as error:
        fix = "run the benchmark first, or name its --out"
        raise UserError(f"{folder} has no finished results: no {Path(error.filename).name}", fix=fix) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        problem = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise UserError(f"{folder} cannot be read: {problem}", fix="run the benchmark on it again") from None


def _table(file: Path) -> pd.DataFrame:
    """A CSV; what is empty is empty text, but in columns of numbers no number."""
    numbers = ("value", "n", "seconds", "train_seconds", "peak_mb", "parameters", "steps")
    return pd.read_csv(file, keep_default_na=False, na_values={name: [""] for name in numbers})


def _about(told: dict[str, Any]) -> About:
    def with_tuples(each: dict[str, Any]) -> dict[str, Any]:
        return {key: tuple(value) if isinstance(value, list) else value for key, value in each.items()}

    published = [PublishedRow(**row) for row in told["published"]]
    capabilities = [Capability(**with_tuples(each)) for each in told["capabilities"]]
    pairs = [tuple(pair) for pair in told["pairs"]]
    return About(**{**told, "published": published, "capabilities": capabilities, "pairs": pairs})


def _datasets(told: dict[str, Any]) -> dict[str, DatasetAbout]:
    return {name: DatasetAbout(**each) for name, each in told.items()}


def merge(runs: Sequence[Finished]) -> Finished:
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
    costs = pd.concat([each.costs for each in runs]).drop_duplicates("key")
    uncertainty = pd.concat([each.uncertainty for each in runs]).drop_duplicates()
    return Finished(first.folder, results, costs, uncertainty, about, datasets)


def _check_alike(first: Finished, other: Finished) -> None:
    kinds = [each.about.device.partition(":")[0] for each in (first, other)]
    if kinds[0] != kinds[1]:
        what = f"{first.folder} was computed on {kinds[0]}, {other.folder} on {kinds[1]}: their figures are not comparable"
        raise UserError(what, fix="make a report of each")
    digests = {each["name"]: each["digest"] for each in first.about.backbones}
    for each in other.about.backbones:
        if digests.get(each["name"], each["digest"]) != each["digest"]:
            what = f"backbone {each['name']!r} has other weights in {other.folder} than in {first.folder}"
            raise UserError(what, fix="give one of them another name")
