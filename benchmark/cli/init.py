"""Write a commented pairs.yaml to start from."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmark.cli.console import progress_console
from benchmark.cli.new_file import write_new_file
from benchmark.config import paths
from benchmark.config.errors import UserError, did_you_mean
from benchmark.config.paths import program

DEFAULT = "default"


def run(options: argparse.Namespace) -> int:
    """Write the file; returns the exit status."""
    known = templates()
    if options.template not in known:
        raise UserError(f"unknown template {options.template!r}", fix=did_you_mean(options.template, known))
    text = known[options.template].read_text(encoding="utf-8")
    write_new_file(options.file, text, fix="choose another file")
    console = progress_console()
    console.print(f"written: {options.file}", markup=False, soft_wrap=True)
    console.print(f"next: {program()} --upgrade-pairs {options.file} --dry-run", markup=False, soft_wrap=True)
    return 0


def templates() -> dict[str, Path]:
    """The pair files that come with the suite, by name."""
    others = sorted(paths.bundled("pairs").glob("*.yaml"))
    return {DEFAULT: paths.bundled("pairs.yaml"), **{file.stem: file for file in others}}
