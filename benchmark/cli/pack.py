"""Write one file of a results folder, for publishing."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmark.analysis import findings
from benchmark.cli.console import progress_console
from benchmark.config.errors import UserError
from benchmark.config.files import write_atomically
from benchmark.config.paths import program
from benchmark.results import archive
from benchmark.results.pack import SUFFIX, is_pack


def run(options: argparse.Namespace) -> int:
    """Write it; returns the exit status.

    Raises:
        UserError: there are no sound results, or the file cannot be written.
    """
    folder = options.folder
    if is_pack(folder):
        raise UserError(f"{folder} is not a results folder", fix="name the --out of a run")
    file = options.out or Path.cwd() / f"{folder.resolve().name}{SUFFIX}"
    if file.is_dir():
        raise UserError(f"--out {file} is a folder", fix=f"name a file, such as {file / folder.resolve().name}{SUFFIX}")
    with progress_console().status("packing"):
        content = archive.packed(folder, findings.packed(folder))
        write_atomically(file, content)
    text = f"pack: {file}, {len(content) / 2**20:.1f} MiB; read it with {program()} report {file}"
    progress_console().print(text, markup=False, soft_wrap=True)
    return 0
