"""Say what in a results folder or a pack is damaged, stale or was edited, without changing anything."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from benchmark.analysis import findings
from benchmark.cli.console import progress_console
from benchmark.config.errors import UserError
from benchmark.config.paths import program
from benchmark.data.cache import damaged_arrays
from benchmark.experiment.store import Store
from benchmark.experiment.verify import examine
from benchmark.report.numbers import plural
from benchmark.results import archive
from benchmark.results.pack import is_pack


def run(options: argparse.Namespace) -> int:
    """Print every problem; returns the exit status: 0 if there is none, 1 otherwise.

    Raises:
        UserError: the folder is not one of results, or the pack is not sound.
    """
    root, count = options.folder, 0
    if is_pack(root):
        archive.read(root)
        findings.load(root)
        print("1 pack, 0 problems")
        return 0
    store = Store(root)
    if not (root / "cells").is_dir():
        raise UserError(f"{root} is no results folder: it has no cells", fix="name the --out of a run")
    console = Console(highlight=False)
    problems = []
    with progress_console().status("reading every file"):
        for key, problem in examine(store):
            count += 1
            problems += [f"{store.folder(key)}: {problem}"] if problem else []
        problems += _beside_cells(root)
    for problem in problems:
        console.print(problem, markup=False, soft_wrap=True)
    console.print(f"{plural(count, 'cell')}, {plural(len(problems), 'problem')}")
    if problems:
        text = f"{program()} computes damaged cells again; use the command that made them"
        console.print(text, markup=False, soft_wrap=True)
    return 1 if problems else 0


def _beside_cells(root: Path) -> Iterator[str]:
    """Problems of the tables, the analyses and the cached features."""
    if (root / archive.FILE).exists():
        try:
            archive.read(root)
        except UserError as error:
            yield error.message
    try:
        findings.load(root)
    except UserError as error:
        yield error.message
    unused = damaged_arrays(root / "features")
    if unused:  # one line: a cache of an earlier version has hundreds
        more = f" (and {plural(len(unused) - 1, 'more file')} of the cache)" if len(unused) > 1 else ""
        yield f"{unused[0]}: damaged, or of an earlier version; it will not be used{more}"
