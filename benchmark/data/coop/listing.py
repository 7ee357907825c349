"""Names of the image files in many folders, remembered: listing ImageNet's 1.3 million over a network takes minutes, and
every process of a run needs them."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmark.config.errors import UserError
from benchmark.config.files import sha256, write_atomically
from benchmark.data.cache import user_cache
from benchmark.data.coop.files import list_images

WORTH = 20_000
"""Files from which on a listing is remembered."""
SETTLED = 5.0
"""Seconds: a folder that was changed so recently may change again without a new time."""


def listed(root: Path, folders: Sequence[str]) -> dict[str, list[str]]:
    """Names of the images in each of some folders below ``root``, sorted. A remembered listing is used if no folder has been
    changed since: adding, removing or renaming a file changes the time of its folder.

    Raises:
        UserError: a folder cannot be listed.
    """
    stamps = [_stamp(root / folder) for folder in folders]
    file = user_cache() / "listings" / f"{sha256(f'{root.resolve()} {list(folders)}'.encode())[:32]}.json"
    known = _read(file)
    if known is not None and known.get("stamps") == stamps:
        return dict(zip(folders, known["names"], strict=True))
    names = [list_images(root / folder) for folder in folders]
    latest = max((stamp for stamp in stamps if stamp is not None), default=0)
    if sum(map(len, names)) >= WORTH and None not in stamps and time.time() - latest / 1e9 > SETTLED:
        with suppress(UserError):  # where it cannot be written, it is listed again
            write_atomically(file, json.dumps({"stamps": stamps, "names": names}).encode())
    return dict(zip(folders, names, strict=True))


def _stamp(folder: Path) -> int | None:
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return None


def _read(file: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None
