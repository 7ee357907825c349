"""Where the files are that come with the suite: at the top of a checkout, or inside an installed package."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from benchmark.config.errors import UserError

PACKAGE = Path(__file__).resolve().parents[1]
RELEASES = PACKAGE / "backbones" / "releases"
"""Folders of the small CLIPs of the embedded default, by name."""


def bundled(name: str) -> Path:
    """``methods``, ``datasets``, ``pairs`` or ``pairs.yaml``."""
    inside = PACKAGE / "bundled" / name
    return inside if inside.exists() else PACKAGE.parent / name


def is_checkout() -> bool:
    """Whether the code runs from a checkout, whose ``methods/`` users may add files to."""
    return (PACKAGE.parent / "methods").is_dir() and not (PACKAGE / "bundled").exists()


def plugin_folders(kind: str, plugins: tuple[Path, ...]) -> list[Path]:
    """The folders that hold plugins of a kind ("methods" or "datasets"): the suite's own, then those of users.

    Raises:
        UserError: a user's folder has neither kind.
    """
    for folder in plugins:
        if not any((folder / name).is_dir() for name in ("methods", "datasets")):
            fix = "put files into its subfolders methods/ or datasets/"
            raise UserError(f"plugins: {folder} has no folder methods/ or datasets/", fix=fix)
    return [bundled(kind), *(folder / kind for folder in plugins if (folder / kind).is_dir())]


def program() -> str:
    """How the user calls the suite: for commands that messages and reports suggest."""
    script = Path(sys.argv[0]).name if sys.argv else ""
    return "python run_benchmark.py" if script == "run_benchmark.py" else "clip-compat"


def suite_version() -> str:
    """The version of the suite, such as 0.2.0, from its CITATION.cff, which a checkout and a package both have."""
    try:
        found = re.search(r"^version: *(\S+)$", bundled("CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else "unknown"
