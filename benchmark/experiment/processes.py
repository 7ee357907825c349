"""How processes that work for the driver are made, and what they do first."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
from typing import Any


def process_maker(*, gpu: bool) -> Any:
    """The ``multiprocessing`` context to start processes with. On Linux CPUs they are forks of the driver, which has one
    thread (see ``cli.main`` and ``progress``): libraries are in memory once and are not loaded again. Everywhere else, and
    where a GPU is in use, they are spawned."""
    return multiprocessing.get_context("fork" if forks(gpu=gpu) else "spawn")


def forks(*, gpu: bool) -> bool:
    """Whether processes are forks."""
    return not gpu and sys.platform.startswith("linux")


def follow_the_driver() -> None:
    """Called first in a process: Ctrl-C is left to the driver, and where the driver ends, so does the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":  # ask the kernel, so that a killed run leaves no process behind
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        driver = multiprocessing.parent_process()
        if driver and os.getppid() != driver.pid:  # it died before; its number is 1 where a container runs it alone
            os._exit(1)
