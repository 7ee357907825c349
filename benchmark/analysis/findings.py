"""Which analyses there are, and the files that they leave in a results folder for the report."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from benchmark.config.errors import UserError
from benchmark.experiment.store import write_atomically

FOLDER = "analysis"
"""Inside a results folder."""

ANALYSES: dict[str, tuple[str, str]] = {
    "drift": ("drift", "How far do parameters and features move in each layer of the two towers?"),
    "depth": ("depth", "Does a module that learns deeper lose more on the new backbone?"),
    "snapshots": ("checkpoints", "Does more drift mean less of a module's use, along the way to the new backbone?"),
    "repair": ("repair", "If reuse is not enough, what does it cost to get the rest?"),
    "break-even": ("break_even", "How much retraining on the new backbone equals simple reuse?"),
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


Findings = Mapping[str, Sequence[Finding]]
"""By the name of an analysis: one finding for each data set that it was run on."""


def save(root: Path, name: str, finding: Finding) -> Path:
    """Write a finding into a results folder, in place of an earlier one on the same data set; returns the CSV."""
    file = root / FOLDER / f"{name}-{finding.made.dataset}.csv"
    write_atomically(file, finding.table.to_csv(index=False, lineterminator="\n").encode())
    write_atomically(file.with_suffix(".json"), (json.dumps(asdict(finding.made), indent=1) + "\n").encode())
    return file


def load(root: Path) -> dict[str, list[Finding]]:
    """The findings of a results folder.

    Raises:
        UserError: a file is broken.
    """
    found: dict[str, list[Finding]] = {}
    for name in ANALYSES:
        for file in sorted((root / FOLDER).glob(f"{name}-*.csv")):
            try:
                told = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
                table = pd.read_csv(file, keep_default_na=False, na_values={column: [""] for column in NUMBERS})
                found.setdefault(name, []).append(Finding(table, Made(**{**told, "seeds": tuple(told["seeds"])})))
            except (OSError, ValueError, KeyError, TypeError) as error:
                what = f"{file} cannot be read: {' '.join(str(error).split())[:200]}"
                raise UserError(what, fix=f"remove it, or run 'analyse {name}' again") from None
    return found


def merge(runs: Mapping[Path, Findings]) -> dict[str, list[Finding]]:
    """Findings of several results folders.

    Raises:
        UserError: two folders have the same analysis of the same data set.
    """
    found: dict[str, list[Finding]] = {}
    origin: dict[tuple[str, str], Path] = {}
    for folder, findings in runs.items():
        for name, each in ((name, each) for name, several in findings.items() for each in several):
            key = name, each.made.dataset
            if key in origin:
                what = f"{origin[key]} and {folder} both have the analysis {name!r} of {each.made.dataset}"
                raise UserError(what, fix="leave one of the folders out")
            origin[key] = folder
            found.setdefault(name, []).append(each)
    return found


NUMBERS = frozenset(
    "order value n old reuse zs_old zs_new lift lift_low lift_high change change_low change_high step drift "
    "accuracy over_reuse over_reuse_low over_reuse_high images labels steps seconds seeds amount "
    "text_change text_cka image_cka".split()
)
"""Columns of numbers; whatever is empty in them is no number."""
