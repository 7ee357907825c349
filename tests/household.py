"""A whole small world in one folder: tiny CLIPs, a data set of files, a YAML; and the command line in this process."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from PIL import Image

from benchmark import cli, registry, tiny, work

NAMES = ("bird", "boat", "cat", "dog", "house", "tree")
"""Classes; the first half, in this order, are the base classes."""
IDENTITY, UPGRADE, NARROWER = "native->native", "native->eva", "native->narrow"


def draw(folder: Path, pictures: dict[str, list[tuple[str, object]]]) -> Path:
    """Write images of 8-bit pixels into folders train, val and test, from (class, pixels) by part."""
    for part, rows in pictures.items():
        for number, (label, pixels) in enumerate(rows):
            file = folder / part / label / f"{number:04d}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(file)
    return folder


def patterned(folder: Path, *, train: int = 4, val: int = 2, test: int = 8, noise: float = 60.0) -> Path:
    """One coarse pattern a class, and noise; so many images of each class by part, of which one may be empty."""
    found = {}
    for seed, (part, count) in enumerate({"train": train, "val": val, "test": test}.items(), start=1):
        labels = [label for label in range(len(NAMES)) for _ in range(count)]
        made = tiny.pictures(labels, seed=seed, noise=noise) if labels else []
        found[part] = [(NAMES[label], pixels) for label, pixels in zip(labels, made, strict=True)]
    return draw(folder, found)


def write_yaml(file: Path, folders: dict[str, Path], data: Path, new: Sequence[str] = ("native", "eva"), **more) -> Path:
    """A YAML with one data set, ``squares``, and upgrades of ``native``; ``more`` goes beside or in place of its keys."""
    content = {
        "backbones": {name: {"model": f"local-dir:{folder}"} for name, folder in folders.items()},
        "upgrades": [{"old": "native", "new": list(new)}],
        "folders": {"squares": {"path": str(data), "flip": False, "crop": [0.7, 1.0]}},
        "datasets": ["squares"],
        "methods": ["coop", "clip-adapter"],
        "protocols": ["base-to-new"],
        "preset": "small",
        "shots": 2,
        "seeds": [1, 2],
    }
    file.write_text(yaml.safe_dump(content | more))
    return file


def run(*given: str, methods: Path | None = None) -> SimpleNamespace:
    """Run the command line in this process: status, out, err. ``methods`` takes the place of the folder of methods."""
    found, out, err = registry.methods, io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.setattr(work, "_LOADED", {})  # another world may have a data set of the same name
        patch.setenv("COLUMNS", "200")
        if methods is not None:
            patch.setattr(registry, "methods", lambda folder=None: found(methods))
        try:
            status = cli.main(list(given))
        except SystemExit as stop:  # argparse
            status = stop.code
    return SimpleNamespace(status=status, out=out.getvalue(), err=err.getvalue())
