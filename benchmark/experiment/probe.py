"""Which files of plugins can be imported: each is tried in a process apart before the driver imports it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmark.config import paths
from benchmark.experiment.apart import each_apart
from benchmark.method import registry

SECONDS = 60.0
"""Longest import of one file."""


def probe(plugins: tuple[Path, ...]) -> Mapping[str, str]:
    """The files, by path, that end the process, or do not come to an end, when they are imported; and how. Other errors are
    left to the import itself, which says more about them."""
    folders = [folder for kind in ("methods", "datasets") for folder in paths.plugin_folders(kind, plugins)]
    files = [str(file) for file in registry.plugin_files(*folders)]
    return {file: reason for file, _, reason in each_apart(_imported, files, SECONDS) if reason}


def _imported(files: Sequence[str]) -> Iterator[bool]:
    for file in files:
        try:
            registry.import_file(Path(file))
        except (Exception, SystemExit):
            yield False
        else:
            yield True
