"""The machine: its cores and devices, and returning freed memory to it, which the C library does not do by itself."""

from __future__ import annotations

import ctypes
import gc
import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from benchmark.config.errors import UserError

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's mallopt(3)
KEPT_FREE = 2**30
"""Bytes of freed memory that a process keeps for its next tensors."""


def use_cpu(threads: int) -> None:
    """Prepare this process for computing with so many threads.

    Where the C library is glibc, freed memory stays with the process until ``release_memory``. By default every tensor of
    over 32 MB is mapped when it is made and unmapped when it is freed, and the system fills it with zeros each time:
    on ViT-B/16, a quarter of the time of encoding images in large batches.
    """
    torch.set_num_threads(threads)
    adjust = _of_c_library("mallopt")
    if adjust is not None:
        adjust(M_MMAP_THRESHOLD, KEPT_FREE)
        adjust(M_TRIM_THRESHOLD, KEPT_FREE)


def release_memory() -> None:
    """Return free memory to the system, where the C library is glibc. Training leaves hundreds of MB of it."""
    gc.collect()
    trim = _of_c_library("malloc_trim")
    if trim is not None:
        trim(0)


@contextmanager
def collections_paused() -> Iterator[None]:
    """Make many objects that stay: Python does not look for garbage among them, neither now nor later."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()


def _of_c_library(name: str) -> Callable[..., int] | None:
    """A function of the C library; None if there is none of this name."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None


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
        device = torch.device(requested)
        if device.type != "cuda":  # on a GPU that would open a context, and the workers have theirs
            torch.empty(1, device=device)
        elif (device.index or 0) >= (count := torch.cuda.device_count()):
            raise RuntimeError(f"there {'is only 1 GPU' if count == 1 else f'are only {count} GPUs'}")
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"--device {requested}: {str(error).splitlines()[0]}", fix="use cpu, cuda or cuda:N") from None
    return requested


@dataclass(frozen=True)
class Gpu:
    """A GPU, or a slice of one (MIG), as a process of its own sees it."""

    device: str
    """Its name there, such as cuda:1."""
    visible: str | None = None
    """What CUDA_VISIBLE_DEVICES must say there; None if it is right already."""


def gpus() -> list[Gpu]:
    """The GPUs that this process and those that it starts may use. A process can only use one MIG slice, so each of several
    needs a process that sees no other."""
    slices = _mig_slices()
    if slices:
        return [Gpu("cuda:0", visible=name) for name in slices]
    return [Gpu(f"cuda:{i}") for i in range(torch.cuda.device_count())]


def _mig_slices() -> list[str]:
    """UUIDs of MIG slices: those in CUDA_VISIBLE_DEVICES, or all if it is not set."""
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if listed is not None:
        return [name.strip() for name in listed.split(",") if name.strip().startswith("MIG-")]
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    try:
        found = subprocess.run([program, "-L"], capture_output=True, text=True, timeout=30)  # noqa: S603 - NVIDIA's program
    except (OSError, subprocess.TimeoutExpired):
        return []
    return re.findall(r"^\s+MIG .*\(UUID: (MIG-[^)]+)\)", found.stdout, re.MULTILINE)


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
