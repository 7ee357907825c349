"""The results of a run as one object: written into its folder, read from it or from a pack, and several of them merged."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from benchmark.config.errors import UserError
from benchmark.config.files import sha256, write_atomically
from benchmark.config.paths import suite_version
from benchmark.config.validation import check
from benchmark.data.task import FEW_SHOT
from benchmark.method.base import Info
from benchmark.results import image_covariance, lost_images, pack
from benchmark.results.legacy import modern_facts
from benchmark.results.provenance import About, DatasetAbout
from benchmark.results.summary import COLUMNS
from benchmark.results.table_files import csv_content, parquet_content, read_csv, read_parquet, require_pyarrow
from benchmark.results.tables import RUN_COLUMNS

FILE = "run.json"
"""What a report says beyond the CSVs."""
GALLERY = "gallery.json"
"""The images that modules lose; a folder without any has no such file."""
SCHEMA = 2
"""Version of the tables' columns and of run.json; 1 had other words (see ``legacy``)."""
AGAIN = "run the benchmark on it again"
RUN_REQUIRED = [name for name in RUN_COLUMNS if name not in ("train_seconds", "steps", "plugin")]
"""Earlier versions did not have those three."""
CELL = [name for name in COLUMNS if name not in ("value", "n", "status", "reason")]


class _Form(NamedTuple):
    """The columns of a table, see ``table_files.read_csv``."""

    columns: Sequence[str]
    numbers: Sequence[str]
    integers: Sequence[str]
    defaults: Mapping[str, str] = {}


FORMS = {
    "results": _Form(COLUMNS, ("value", "n"), ("shots", "seed")),
    "runs": _Form(RUN_REQUIRED, ("seconds", "train_seconds", "peak_mb", "parameters", "steps"), ("seed",), {"plugin": ""}),
    "uncertainty": _Form(image_covariance.COLUMNS, ("covariance",), ("drawings", "shots")),
}
"""The tables of a results folder, by name."""


@dataclass(frozen=True, eq=False)
class RunResults:
    """The results of a run as tidy tables, and their provenance. ``read`` reads them from a results folder or a pack."""

    folder: Path
    """Or the pack."""
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
    lost: lost_images.Lost = field(default_factory=dict)
    """The images that modules lose, by pair; empty in a run that shows none."""


class _Facts(BaseModel):
    """The content of run.json."""

    model_config = ConfigDict(extra="ignore")
    version: int = Field(default=1, alias="schema")
    about: About
    datasets: dict[str, DatasetAbout]
    methods: dict[str, Info] = {}
    tables: dict[str, str] = {}
    """SHA-256 of the CSVs and the gallery by file name; earlier versions did not write it."""


def save(run: RunResults) -> None:
    """Write the tables, the lost images and run.json into the results folder, and the tables as Parquet too if pyarrow is
    installed."""
    tables = {"results.csv": run.results, "runs.csv": run.runs, "uncertainty.csv": run.uncertainty}
    files = {name: csv_content(table) for name, table in tables.items()}
    if run.lost:
        files[GALLERY] = (json.dumps(lost_images.content(run.lost)) + "\n").encode()
    facts = {
        "schema": SCHEMA,
        "about": asdict(run.about),
        "datasets": {name: asdict(dataset) for name, dataset in run.datasets.items()},
        "methods": {name: asdict(info) for name, info in run.methods.items()},
        "tables": {name: sha256(content) for name, content in files.items()},
    }
    for name, content in files.items():
        write_atomically(run.folder / name, content)
        parquet = parquet_content(tables[name]) if name in tables else None
        if parquet is not None:
            write_atomically((run.folder / name).with_suffix(".parquet"), parquet)
    if not run.lost:
        (run.folder / GALLERY).unlink(missing_ok=True)  # of an earlier run with other data sets
    write_atomically(run.folder / FILE, (json.dumps(facts, indent=1) + "\n").encode())


def read(place: Path) -> RunResults:
    """A results folder, also one that an earlier version wrote, or a pack of one.

    Raises:
        UserError: something is missing, damaged or was edited.
    """
    try:
        return _read_pack(place) if pack.is_pack(place) else _read_folder(place)
    except FileNotFoundError as error:
        fix = "run the benchmark first, or name its --out"
        raise UserError(f"{place} has no finished results: no {Path(error.filename).name}", fix=fix) from None
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"{place} cannot be read: {type(error).__name__}: {error}", fix=AGAIN) from None


def _read_folder(folder: Path) -> RunResults:
    facts = _facts((folder / FILE).read_bytes(), folder / FILE)
    for name, sha in facts.tables.items():
        if sha256((folder / name).read_bytes()) != sha:
            what = f"{folder / name} is not the file that {FILE} belongs to: it is damaged or was edited"
            raise UserError(what, fix=AGAIN)
    tables = {
        name: read_csv(
            folder / f"{name}.csv", form.columns, numbers=form.numbers, integers=form.integers, defaults=form.defaults
        )
        for name, form in FORMS.items()
    }
    lost = lost_images.parse((folder / GALLERY).read_bytes()) if GALLERY in facts.tables else {}
    return RunResults(folder, **tables, about=facts.about, datasets=facts.datasets, methods=facts.methods, lost=lost)


def _read_pack(file: Path) -> RunResults:
    members = pack.read(file)
    absent = [name for name in (FILE, *map(_member, FORMS)) if name not in members]
    if absent:
        raise UserError(f"{file} is no pack of results: it has no {absent[0]}", fix=pack.AGAIN)
    facts = _facts(members[FILE], file / FILE)
    tables = {
        name: read_parquet(
            members[_member(name)], form.columns, numbers=form.numbers, integers=form.integers, defaults=form.defaults
        )
        for name, form in FORMS.items()
    }
    return RunResults(file, **tables, about=facts.about, datasets=facts.datasets, methods=facts.methods, lost={})


def _member(name: str) -> str:
    """What a pack calls a table."""
    return f"{name}.parquet"


def packed(folder: Path, more: Mapping[str, bytes]) -> bytes:
    """The bytes of a pack of a results folder: run.json as it is, the tables as Parquet, and other members.

    The same folder gives the same bytes with the same versions of pandas and pyarrow.

    Args:
        folder: A results folder.
        more: Other members by name, such as the findings of analyses.

    Raises:
        UserError: the folder has no sound results, or pyarrow is not installed.
    """
    require_pyarrow()
    run = read(folder)
    members = {FILE: (folder / FILE).read_bytes(), **more}
    for name in FORMS:
        content = parquet_content(getattr(run, name))
        assert content is not None
        members[_member(name)] = content
    return pack.content(members, suite_version())


def _facts(text: bytes, file: Path) -> _Facts:
    """The checked content of run.json, which is that ``file``."""
    try:
        content = json.loads(text.decode("utf-8"))
    except RecursionError as error:
        raise ValueError(f"{FILE} is nested too deeply") from error
    if not isinstance(content, dict):
        raise ValueError(f"{FILE} holds no object")
    if isinstance(content.get("schema"), int) and content["schema"] > SCHEMA:
        raise UserError(f"{file.parent} was written by a later version", fix="update this checkout")
    return check(_Facts, modern_facts(content), where=str(file), fix=AGAIN)


def merge(runs: Sequence[RunResults]) -> RunResults:
    """Several folders or packs as one.

    Raises:
        UserError: they contradict each other, or were computed on different kinds of device; names the folders or packs.
    """
    first = runs[0]
    for other in runs[1:]:
        _check_alike(first, other)
    results = pd.concat([run.results for run in runs], keys=range(len(runs))).drop_duplicates()
    differing = results[results.duplicated(CELL, keep=False)]
    if len(differing):
        row = differing.iloc[0]
        same = differing[(differing[CELL] == row[CELL]).all(axis=1)]
        folders = " and ".join(str(runs[place].folder) for place in same.index.get_level_values(0))
        where = f"{row.method} on {row.pair}, {row.dataset} {row.protocol} {row.split}, seed {row.seed}, {row.strategy}"
        count = int(differing.duplicated(CELL).sum())
        what = f"{count} {'value differs' if count == 1 else 'values differ'} between {folders}, the first: {where}"
        raise UserError(what, fix="leave one of them out")
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
        relatedness={pair: value for about in abouts for pair, value in about.relatedness.items()},
        looks=max(about.looks for about in abouts),
        repairs=list({repair["strategy"]: repair for about in abouts for repair in about.repairs}.values()),
        capabilities=list({method.name: method for about in abouts for method in about.capabilities}.values()),
        unknown={name: reason for about in abouts for name, reason in about.unknown.items()},
    )
    datasets = {name: dataset for run in runs for name, dataset in run.datasets.items()}
    computed = pd.concat([run.runs for run in runs]).drop_duplicates("key")
    uncertainty = pd.concat([run.uncertainty for run in runs]).drop_duplicates()
    methods = {name: info for run in runs for name, info in run.methods.items()}
    lost = lost_images.merge([run.lost for run in runs])
    return RunResults(first.folder, results, computed, uncertainty, about, datasets, methods, lost)


def _check_alike(first: RunResults, other: RunResults) -> None:
    kinds = [run.about.device_kind for run in (first, other)]
    if kinds[0] != kinds[1]:
        what = f"{first.folder} was computed on {kinds[0]}, {other.folder} on {kinds[1]}: their values are not comparable"
        raise UserError(what, fix="make a separate report of each")
    digests = {backbone["name"]: backbone.get("digest") for backbone in first.about.backbones}
    for backbone in other.about.backbones:
        if digests.get(backbone["name"], backbone.get("digest")) != backbone.get("digest"):
            what = f"backbone {backbone['name']!r} has other weights in {other.folder} than in {first.folder}"
            raise UserError(what, fix="give one of them another name")
    shots = _shots(first)
    for place, count in _shots(other).items():
        if shots.get(place, count) != count:
            numbers = f"{count} shots in {other.folder} and {shots[place]} in {first.folder}"
            raise UserError(f"{place[0]} {place[1]} has {numbers}", fix="make a separate report of each")


def _shots(run: RunResults) -> dict[tuple[str, str], int]:
    """Training images per class by data set and protocol; few-shot keeps different numbers apart by itself."""
    rows = run.results[["dataset", "protocol", "shots"]].drop_duplicates()
    return {
        (dataset, protocol): int(count) for dataset, protocol, count in rows.itertuples(index=False) if protocol != FEW_SHOT
    }
