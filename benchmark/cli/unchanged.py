"""Whether a run would only repeat the last one: nothing that it reads or has written has changed since.

Used only where everything that a run reads comes with the suite: the images of a data root are not looked at in a second.
Files count as unchanged if their sizes and times are; ``verify`` reads them. Nothing here imports torch.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

from benchmark.config import loader, paths
from benchmark.config.files import sha256, write_atomically
from benchmark.config.schema import RunSpec

FILE = ".last-run.json"
"""In the results folder."""


class LastRun:
    """What the last run of the same command in a results folder read, wrote and printed."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.file = Path(options.out) / FILE
        self.inputs = self._inputs()

    def closing(self) -> str | None:
        """What it printed at its end, if this run would only do it again."""
        try:
            content = json.loads(self.file.read_text(encoding="utf-8"))
            same = content["inputs"] == self.inputs and content["outputs"] == self._outputs()
            return str(content["closing"]) if same else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def remember(self, spec: RunSpec, closing: str) -> None:
        """Note a run that ended well, where it can be known that nothing has changed."""
        if only_reads_the_suite(spec):
            content = {"inputs": self.inputs, "outputs": self._outputs(), "closing": closing}
            write_atomically(self.file, json.dumps(content).encode())

    def _inputs(self) -> str:
        """Hash of the command, the code and everything that comes with it, the YAML, and the installed packages."""
        read = [paths.PACKAGE, *map(paths.bundled, ("methods", "datasets")), loader.find(self.options.upgrade_pairs)]
        command = [*self.options.given, os.getcwd(), platform.python_version(), os.environ.get("COLUMNS", "")]
        packages = sorted(f"{entry.name} {entry.version}" for entry in metadata.distributions())
        return _hash([*command, *packages, *_states(read)])

    def _outputs(self) -> str:
        """Hash of the state of the results and of the report's files."""
        out, page = Path(self.options.out), self.options.report
        tables = [out / name for name in ("results.csv", "runs.csv", "uncertainty.csv", "gallery.json", "run.json")]
        written = [page, page.with_suffix(".md"), page.with_suffix("")] if page else []
        return _hash(_states([out / "cells", out / "analysis", *tables, *written]))


def only_reads_the_suite(spec: RunSpec) -> bool:
    """Whether a run has no backbone, image or plugin from elsewhere."""
    folders = [backbone.folder for backbone in spec.backbones.values()]
    from_suite = all(folder is not None and folder.is_relative_to(paths.RELEASES) for folder in folders)
    return from_suite and not (spec.data_root or spec.plugins or spec.folders)


def _hash(lines: Iterable[str]) -> str:
    return sha256("\n".join(lines).encode("utf-8", "surrogateescape"))


def _states(places: list[Path]) -> Iterator[str]:
    """Path, size and time of every file in or at some places; a place that is missing is said to be."""
    for place in places:
        if not place.exists():
            yield f"{place} missing"
        elif place.is_file():
            yield _state(place, place.stat())
        else:
            yield from _below(place)


def _below(folder: Path) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.name.startswith(".") or entry.name == "__pycache__":
                continue
            if entry.is_dir():
                yield from _below(Path(entry.path))
            else:
                yield _state(entry.path, entry.stat())


def _state(path: str | Path, stat: os.stat_result) -> str:
    return f"{path} {stat.st_size} {stat.st_mtime_ns}"
