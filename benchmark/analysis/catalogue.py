"""Which analyses there are, and the files that they leave in a results folder for the report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from benchmark.errors import UserError
from benchmark.store import write_atomically

FOLDER = "analysis"
"""Inside a results folder."""

ANALYSES: dict[str, tuple[str, str]] = {
    "drift": ("drift", "How far do parameters and features move in each layer of the two towers?"),
    "depth": ("depth", "Does a module that learns deeper lose more on the new backbone?"),
    "snapshots": ("snapshots", "Does more drift mean less of a module's use, along the way to the new backbone?"),
    "repair": ("repair", "If reuse is not enough, what does it cost to get the rest?"),
    "break-even": ("breakeven", "How much retraining on the new backbone equals simple reuse?"),
}
"""By name: the module in this package, and the question that it answers."""


@dataclass(frozen=True)
class Made:
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


@dataclass(frozen=True)
class Finding:
    """A finished analysis: its tidy table, and how it was made."""

    table: pd.DataFrame
    made: Made


def save(root: Path, name: str, finding: Finding) -> Path:
    """Write a finding into a results folder; returns the CSV."""
    file = root / FOLDER / f"{name}.csv"
    write_atomically(file, finding.table.to_csv(index=False, lineterminator="\n").encode())
    write_atomically(file.with_suffix(".json"), (json.dumps(asdict(finding.made), indent=1) + "\n").encode())
    return file


def load(root: Path) -> dict[str, Finding]:
    """The findings of a results folder, by name.

    Raises:
        UserError: a file is broken.
    """
    found = {}
    for name in ANALYSES:
        file = root / FOLDER / f"{name}.csv"
        if not file.exists():
            continue
        try:
            told = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
            table = pd.read_csv(file, keep_default_na=False, na_values={column: [""] for column in NUMBERS})
            found[name] = Finding(table, Made(**{**told, "seeds": tuple(told["seeds"])}))
        except (OSError, ValueError, KeyError, TypeError) as error:
            what = f"{file} cannot be read: {' '.join(str(error).split())[:200]}"
            raise UserError(what, fix=f"run 'analyse {name}' again") from None
    return found


def merge(runs: Mapping[Path, Mapping[str, Finding]]) -> dict[str, Finding]:
    """Findings of several results folders.

    Raises:
        UserError: two folders have the same analysis.
    """
    found: dict[str, Finding] = {}
    origin: dict[str, Path] = {}
    for folder, findings in runs.items():
        for name, finding in findings.items():
            if name in found:
                what = f"{origin[name]} and {folder} both have the analysis {name!r}"
                raise UserError(what, fix="leave one of the folders out")
            found[name], origin[name] = finding, folder
    return found


NUMBERS = frozenset(
    "order value n old reuse zs_old zs_new lift lift_low lift_high change change_low change_high step drift "
    "accuracy over_reuse over_reuse_low over_reuse_high images labels steps seconds seeds amount "
    "text_change text_cka image_cka".split()
)
"""Columns of numbers; whatever is empty in them is no number."""
