"""Run one analysis on the modules of a results folder."""

from __future__ import annotations

import argparse
import os
import time
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

import pandas as pd
import yaml
from rich.console import Console

from benchmark.analysis.base import Analysis, find_analysis
from benchmark.analysis.findings import Finding, Provenance, save
from benchmark.analysis.study import Choice, Study, open_study
from benchmark.cli.console import frame_table, progress_console
from benchmark.cli.execution import execution_of, spec_of
from benchmark.config.errors import UserError
from benchmark.config.paths import program
from benchmark.config.validation import check
from benchmark.experiment.session import lock
from benchmark.experiment.store import ACCEPTED


def run(options: argparse.Namespace) -> int:
    """Run it; returns the exit status, 1 if cells failed."""
    analysis, start = find_analysis(options.analysis), time.monotonic()
    settings = _settings(analysis, options.set)
    spec = analysis.prepare(spec_of(options), settings)
    choice = Choice(options.dataset, options.methods, options.pairs, options.seeds)
    console = progress_console()
    study = open_study(spec, choice, execution_of(options), console)
    with lock(study.session.store.root):
        table = analysis.run(study, settings).reindex(columns=analysis.columns)
        provenance = _provenance(study, options.given, time.monotonic() - start)
        file = save(study.session.store.root, analysis.name, Finding(table, provenance))
    _print(analysis, table, str(file), os.path.relpath(study.session.store.root))
    failed = Counter(status for status in table.get("status", pd.Series(dtype=str)) if status not in ACCEPTED)
    for status, count in sorted(failed.items()):
        console.print(f"{count} rows have no value: {status}; the table gives the reasons")
    return 1 if failed else 0


def _settings(analysis: Analysis, given: Sequence[str]) -> Any:
    """The analysis's own settings, from KEY=VALUE.

    Raises:
        UserError: a key is not known, or a value is not valid.
    """
    values: dict[str, Any] = {}
    for setting in given:
        key, separator, text = setting.partition("=")
        if not separator:
            raise UserError(f"--set {setting}: not understood", fix="write KEY=VALUE")
        try:
            values[key.strip()] = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError, RecursionError):
            raise UserError(f"--set {setting}: the value is not understood", fix="quote it") from None
    return check(analysis.Settings, values, where=f"analyse {analysis.name} --set")


def _provenance(study: Study, given: Sequence[str], seconds: float) -> Provenance:
    session = study.session
    return Provenance(
        command=f"{program()} {' '.join(given)}",
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        seconds=round(seconds, 1),
        dataset=study.dataset,
        title=session.datasets[study.dataset].title,
        seeds=tuple(session.spec.seeds),
        device=session.context.device,
        warning=session.spec.warning,
    )


def _print(analysis: Analysis, table: pd.DataFrame, file: str, folder: str) -> None:
    console = Console(highlight=False)
    if not table.empty:
        console.print(frame_table(*analysis.overview(table)))
    console.print(f"table: {file}", soft_wrap=True)
    console.print(f"'{program()} report {folder}' shows it with the rest", soft_wrap=True)
