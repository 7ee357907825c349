"""What analyses leave in a results folder: a table for each data set, and how it was made."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pandas as pd
from pydantic import TypeAdapter

from benchmark.analysis.base import Analysis, all_analyses
from benchmark.config.errors import UserError
from benchmark.config.files import sha256, write_atomically
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
    """The findings of a results folder.

    Raises:
        UserError: a file is broken.
    """
    findings: dict[str, list[Finding]] = {}
    for analysis in all_analyses().values():
        files: dict[str, Path] = {}  # by data set; a file under the current name replaces one under a former name
        for name in (*reversed(analysis.former_names), analysis.name):
            for file in (root / FOLDER).glob(f"{name}-*.csv"):
                files[file.stem.removeprefix(f"{name}-")] = file
        if files:
            findings[analysis.name] = [_read(files[dataset], analysis) for dataset in sorted(files)]
    return findings


def _read(file: Path, analysis: Analysis) -> Finding:
    try:
        provenance = TypeAdapter(Provenance).validate_json(file.with_suffix(".json").read_bytes())
        if provenance.table and provenance.table != sha256(file.read_bytes()):
            raise ValueError(f"it is not the table that {file.stem}.json belongs to: it is damaged or was edited")
        numbers, flags = analysis.number_columns, analysis.flag_columns
        defaults = analysis.later_columns
        return Finding(read_csv(file, analysis.columns, numbers=numbers, flags=flags, defaults=defaults), provenance)
    except (OSError, ValueError, csv.Error) as error:
        what = f"{file} cannot be read: {' '.join(str(error).split())[:200]}"
        raise UserError(what, fix=f"remove it, or run 'analyse {analysis.name}' again") from None


def merge(runs: Mapping[Path, Findings]) -> dict[str, list[Finding]]:
    """Findings of several results folders.

    Raises:
        UserError: two folders have the same analysis of the same data set.
    """
    merged: dict[str, list[Finding]] = {}
    origin: dict[tuple[str, str], Path] = {}
    for folder, findings in runs.items():
        for name, finding in ((name, finding) for name, several in findings.items() for finding in several):
            key = name, finding.provenance.dataset
            if key in origin:
                what = f"{origin[key]} and {folder} both have the analysis {name!r} of {finding.provenance.dataset}"
                raise UserError(what, fix="leave one of the folders out")
            origin[key] = folder
            merged.setdefault(name, []).append(finding)
    return merged
