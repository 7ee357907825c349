"""Write a leaderboard of packs as static pages, which need neither a server nor a network."""

from __future__ import annotations

import argparse

from benchmark.cli.console import progress_console
from benchmark.config.errors import UserError
from benchmark.report import site
from benchmark.report.numbers import plural


def run(options: argparse.Namespace) -> int:
    """Write the pages; returns the exit status.

    Raises:
        UserError: a file is no sound pack, or the folder cannot be written.
    """
    folder = options.folder
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file", fix="the first argument is the folder of the pages, the packs follow")
    console = progress_console()
    with console.status("reading the packs"):
        sources = site.read_all(options.packs)
    with console.status("writing the pages"):
        files = site.write(folder, sources)
    text = f"site: {files[0]} and {plural(len(files) - 1, 'upgrade')}, from {plural(len(sources), 'pack')}"
    console.print(text, markup=False, soft_wrap=True)
    return 0
