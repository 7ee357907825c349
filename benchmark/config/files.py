"""Files that are whole or absent, whatever happens while they are written."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
import uuid
from contextlib import suppress
from pathlib import Path

from benchmark.config.errors import UserError

DAY = 24 * 3600.0
"""Seconds after which what an interrupted process left behind may be removed."""
STAGING = ".staging"
"""Subfolder of a results folder in which the files of a cell are put together."""
_TEMPORARY = re.compile(r"\..+\.\d+\.[0-9a-f]{8}")


def temporary_name(name: str) -> str:
    """A hidden name that no other process uses at the same time; ``remove_leftovers`` knows it."""
    return f".{name}.{os.getpid()}.{uuid.uuid4().hex[:8]}"


def write_atomically(file: Path, content: bytes) -> None:
    """Write a file so that a reader, or a crash, sees either all of it or none.

    Raises:
        UserError: the disk is full or the folder cannot be written.
    """
    temporary = file.with_name(temporary_name(file.name))
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_through(temporary, content)
        os.replace(temporary, file)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise cannot_write(file, error) from error


def write_through(file: Path, content: bytes) -> None:
    """Write a file and wait until it is on the disk."""
    with file.open("wb") as handle:
        handle.write(content)
        handle.flush()
        os.fsync(handle.fileno())


def cannot_write(file: Path, error: OSError) -> UserError:
    """What to tell the user about a failed write."""
    return UserError(f"cannot write {file}: {error.strerror}", fix="free some disk space or choose another --out")


def slug(text: str) -> str:
    """A text as part of a file's name."""
    return "-".join("".join(c if c.isalnum() else " " for c in text.lower()).split())


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def remove_leftovers(root: Path, older_than: float = DAY) -> int:
    """Remove temporary files in a results folder, its feature cache and its staging folder that processes left behind more
    than ``older_than`` seconds ago; returns how many. What cannot be removed stays."""
    removed = 0
    for folder, everything in ((root, False), (root / "features", False), (root / STAGING, True)):
        if not folder.is_dir():
            continue
        for place in folder.iterdir():
            with suppress(OSError):
                temporary = everything or _TEMPORARY.fullmatch(place.name)
                if temporary and time.time() - place.stat().st_mtime > older_than:
                    shutil.rmtree(place) if place.is_dir() else place.unlink()
                    removed += 1
    return removed
