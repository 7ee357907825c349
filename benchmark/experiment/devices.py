"""The machine: its cores and devices, and returning freed memory to it, which the C library does not do by itself."""

from __future__ import annotations

import ctypes
import gc
import math
import os
import sys

import torch

from benchmark.config.errors import UserError


def release_memory() -> None:
    """Return free memory to the system, where the C library is glibc. Training leaves hundreds of MB of it."""
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def find_device(requested: str) -> str:
    """The device that ``--device`` names; ``auto`` is a GPU if there is one.

    Raises:
        UserError: there is no such device.
    """
    if requested == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if requested.startswith("cuda") and not torch.cuda.is_available():
        raise UserError(f"--device {requested}: there is no GPU here", fix="use --device cpu")
    try:
        torch.empty(1, device=requested)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"--device {requested}: {str(error).splitlines()[0]}", fix="use cpu, cuda or cuda:N") from None
    return requested


def peak_memory_mb() -> float:
    """Peak memory of this process so far, in MB; NaN where the system does not report it."""
    try:
        import resource  # not on Windows
    except ImportError:
        return math.nan
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def device_kind(device: str) -> str:
    """cpu or cuda: results on the two are kept apart."""
    return "cpu" if device == "cpu" else "cuda"
