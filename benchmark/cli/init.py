"""Write a commented pairs.yaml to start from."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmark.cli.console import progress_console
from benchmark.config.errors import UserError, did_you_mean
from benchmark.config.paths import bundled, program

DEFAULT = "default"


def run(options: argparse.Namespace) -> int:
    """Write the file; returns the exit status."""
    known = templates()
    if options.template not in known:
        raise UserError(f"unknown template {options.template!r}", fix=did_you_mean(options.template, known))
    text = known[options.template].read_text(encoding="utf-8")
    try:
        options.file.parent.mkdir(parents=True, exist_ok=True)
        with options.file.open("x", encoding="utf-8") as handle:
            handle.write(text)
    except FileExistsError:
        raise UserError(f"{options.file} exists", fix="name another file, or remove it") from None
    except OSError as error:
        raise UserError(f"{options.file} cannot be written: {error.strerror}", fix="name another file") from None
    console = progress_console()
    console.print(f"written: {options.file}", markup=False, soft_wrap=True)
    console.print(f"next: {program()} --upgrade-pairs {options.file} --dry-run", markup=False, soft_wrap=True)
    return 0


def templates() -> dict[str, Path]:
    """The pair files that come with the suite, by name."""
    return {DEFAULT: bundled("pairs.yaml"), **{file.stem: file for file in sorted(bundled("pairs").glob("*.yaml"))}}
