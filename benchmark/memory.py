"""Giving freed memory back to the system, which the C library does not do of itself."""

from __future__ import annotations

import ctypes
import gc
import sys


def give_back() -> None:
    """Return whatever is free to the system, where the C library is glibc. Training leaves hundreds of MB of it."""
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
