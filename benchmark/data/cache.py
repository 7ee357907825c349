"""What is kept on disk to save time, and never needed; arrays are never trusted without their hash."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import numpy as np
import platformdirs
import safetensors.numpy
from safetensors import SafetensorError, safe_open

from benchmark.config.errors import UserError
from benchmark.config.files import sha256, write_atomically

SUFFIX = ".safetensors"
_ARRAY, _HASH = "array", "sha256"


def user_cache() -> Path:
    """Folder for what every run of this user may need; ``CLIP_COMPAT_CACHE`` overrides the platform's."""
    return Path(os.environ.get("CLIP_COMPAT_CACHE") or platformdirs.user_cache_dir("clip-compat"))


def load_array(file: Path) -> np.ndarray | None:
    """A stored array; None if the file is absent, unreadable, damaged or not ours."""
    try:
        with safe_open(file, framework="np") as content:  # type: ignore[no-untyped-call]
            array: np.ndarray = content.get_tensor(_ARRAY)
            sha = (content.metadata() or {}).get(_HASH)
    except (OSError, SafetensorError):
        return None
    return array if _hash(array) == sha else None


def save_array(file: Path, array: np.ndarray) -> None:
    """Store an array; where that is not possible, it only costs time later."""
    content = safetensors.numpy.save({_ARRAY: np.ascontiguousarray(array)}, {_HASH: _hash(array)})
    with suppress(UserError):
        write_atomically(file, content)


def damaged_arrays(folder: Path) -> list[Path]:
    """Files of a folder of arrays that will not be used."""
    return [file for file in sorted(folder.glob(f"*{SUFFIX}")) if load_array(file) is None]


def _hash(array: np.ndarray) -> str:
    return sha256(f"{array.dtype} {array.shape}".encode() + np.ascontiguousarray(array).tobytes())
