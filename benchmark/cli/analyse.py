"""Sweeps that say why modules survive an upgrade, and what to do when they do not. Each works on one data set in base and
new classes, uses the modules that a results folder already has, can be interrupted, and leaves a table for the report."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import time
from datetime import datetime, timezone
from types import ModuleType

from rich.console import Console

from benchmark.analysis import study
from benchmark.analysis.findings import ANALYSES, Finding, Made, save
from benchmark.cli import analysis_tables
from benchmark.config.errors import UserError
from benchmark.experiment.session import lock


def arguments(parser: argparse.ArgumentParser) -> None:
    """One subcommand for each analysis."""
    commands = parser.add_subparsers(dest="analysis", required=True, metavar="|".join(ANALYSES))
    for name, (_, question) in ANALYSES.items():
        command = commands.add_parser(name, help=question, description=question)
        study.arguments(command)
        _module(name).arguments(command)


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"benchmark.analysis.{ANALYSES[name][0]}")


def run(options: argparse.Namespace, console: Console) -> int:
    """Run one analysis; returns the exit status."""
    name, module = options.analysis, _module(options.analysis)
    if options.workers is not None and options.workers < 0:
        raise UserError(f"--workers {options.workers}: not a whole number from 0", fix="leave it out for one a core")
    start = time.monotonic()
    change = getattr(module, "change", lambda spec, options: spec)
    opened = study.open_setting(options, console, lambda spec: change(spec, options))
    with lock(opened.session.store.root):
        table = module.run(opened, options)
        made = Made(
            command=f"python run_benchmark.py {' '.join(sys.argv[1:])}",
            created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            seconds=round(time.monotonic() - start, 1),
            dataset=opened.dataset,
            title=opened.session.datasets[opened.dataset].title,
            seeds=tuple(opened.session.spec.seeds),
            device=opened.session.context.device,
            warning=opened.session.spec.warning,
        )
        file = save(opened.session.store.root, name, Finding(table, made))
    out = Console(highlight=False)
    out.print(analysis_tables.summary(name, table))
    out.print(f"table: {file}", soft_wrap=True)
    folder = os.path.relpath(opened.session.store.root)
    out.print(f"'python run_benchmark.py report {folder}' shows it with the rest", soft_wrap=True)
    return 0
