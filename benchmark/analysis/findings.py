"""What analyses leave in a results folder: a table for each data set, and how it was made."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pandas as pd
from pydantic import TypeAdapter

from benchmark.analysis.base import Analysis, all_analyses
from benchmark.config.errors import UserError
from benchmark.config.files import sha256, write_atomically
from benchmark.results import pack
from benchmark.results.table_files import csv_content, read_csv

FOLDER = "analysis"
"""Inside a results folder."""


@dataclass(frozen=True)
class Provenance:
    """How a finished analysis was made."""

    command: str
    created: str
    """ISO 8601."""
    seconds: float
    dataset: str
    title: str
    """Of the data set."""
    seeds: tuple[int, ...]
    device: str
    warning: str | None = None
    table: str = ""
    """SHA-256 of the CSV; earlier versions did not write it."""


@dataclass(frozen=True)
class Finding:
    """A finished analysis: its tidy table, and how it was made."""

    table: pd.DataFrame
    provenance: Provenance


Findings = Mapping[str, Sequence[Finding]]
"""By the name of an analysis: one finding for each data set that it was run on."""


def save(root: Path, name: str, finding: Finding) -> Path:
    """Write a finding into a results folder, in place of an earlier one on the same data set; returns the CSV."""
    file = root / FOLDER / f"{name}-{finding.provenance.dataset}.csv"
    content = csv_content(finding.table)
    provenance = asdict(replace(finding.provenance, table=sha256(content)))
    write_atomically(file, content)
    write_atomically(file.with_suffix(".json"), (json.dumps(provenance, indent=1) + "\n").encode())
    return file


def load(root: Path) -> dict[str, list[Finding]]:
    """The findings of a results folder or a pack.

    Raises:
        UserError: a file is broken.
    """
    if pack.is_pack(root):
        inside = FOLDER + "/"
        members = {name.removeprefix(inside): one for name, one in pack.read(root).items() if name.startswith(inside)}
    else:
        members = {file.name: file.read_bytes() for file in _files(root)}
    return _parsed(members, root / FOLDER)


def packed(root: Path) -> dict[str, bytes]:
    """The files of the findings of a results folder, by their names in a pack.

    Raises:
        UserError: a file is broken.
    """
    load(root)
    return {f"{FOLDER}/{file.name}": file.read_bytes() for file in _files(root)}


def _files(root: Path) -> list[Path]:
    """The tables of the findings of a results folder and what is known of them, in a fixed order."""
    names = {name for analysis in all_analyses().values() for name in (*analysis.former_names, analysis.name)}
    tables = [file for name in names for file in (root / FOLDER).glob(f"{name}-*.csv")]
    return sorted(file for table in set(tables) for file in (table, table.with_suffix(".json")) if file.exists())


def _parsed(members: Mapping[str, bytes], folder: Path) -> dict[str, list[Finding]]:
    """The findings in files. ``folder`` is where they are, for messages."""
    findings: dict[str, list[Finding]] = {}
    for analysis in all_analyses().values():
        files: dict[str, str] = {}  # by data set; a file under the current name replaces one under a former name
        for name in (*reversed(analysis.former_names), analysis.name):
            for file in members:
                if file.startswith(f"{name}-") and file.endswith(".csv"):
                    files[file.removeprefix(f"{name}-").removesuffix(".csv")] = file
        if files:
            findings[analysis.name] = [_read(members, files[dataset], folder, analysis) for dataset in sorted(files)]
    return findings


def _read(members: Mapping[str, bytes], name: str, folder: Path, analysis: Analysis) -> Finding:
    content, facts = members[name], name.removesuffix(".csv") + ".json"
    try:
        if facts not in members:
            raise ValueError(f"there is no {facts}")
        provenance = TypeAdapter(Provenance).validate_json(members[facts])
        if provenance.table and provenance.table != sha256(content):
            raise ValueError(f"it is not the table that {facts} belongs to: it is damaged or was edited")
        table = read_csv(
            io.BytesIO(content),
            analysis.columns,
            numbers=analysis.number_columns,
            flags=analysis.flag_columns,
            defaults=analysis.later_columns,
        )
    except (ValueError, csv.Error) as error:
        what = f"{folder / name} cannot be read: {' '.join(str(error).split())[:200]}"
        raise UserError(what, fix=f"remove it, or run 'analyse {analysis.name}' again") from None
    return Finding(table, provenance)


def merge(runs: Mapping[Path, Findings]) -> dict[str, list[Finding]]:
    """Findings of several results folders or packs.

    Raises:
        UserError: two of them have the same analysis of the same data set.
    """
    merged: dict[str, list[Finding]] = {}
    origin: dict[tuple[str, str], Path] = {}
    for folder, findings in runs.items():
        for name, finding in ((name, finding) for name, several in findings.items() for finding in several):
            key = name, finding.provenance.dataset
            if key in origin:
                what = f"{origin[key]} and {folder} both have the analysis {name!r} of {finding.provenance.dataset}"
                raise UserError(what, fix="leave one of them out")
            origin[key] = folder
            merged.setdefault(name, []).append(finding)
    return merged
