"""What is put back after every cell, whatever a plugin did: switches of torch and of the process."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from benchmark.config.errors import clean

LONGEST = 500
"""Characters of a reason."""


@contextmanager
def switches_kept() -> Iterator[None]:
    """Put back what code inside may switch for the whole process: gradients, autocast, the default type and device, threads,
    deterministic algorithms, the working folder, the recursion limit, a pending alarm, standard output and error, and the
    state of the random numbers of Python and NumPy."""
    threads, kind, folder = torch.get_num_threads(), torch.get_default_dtype(), os.getcwd()
    device, limit, streams = torch.get_default_device(), sys.getrecursionlimit(), (sys.stdout, sys.stderr)
    deterministic, anomalies = torch.are_deterministic_algorithms_enabled(), torch.is_anomaly_enabled()
    autocast = {name: torch.is_autocast_enabled(name) for name in ("cpu", "cuda")}
    environment, draws, numpy_draws = dict(os.environ), random.getstate(), np.random.get_state()
    process = os.getpid()
    try:
        yield
    finally:
        if os.getpid() != process:  # the code inside forked, and this is the copy
            os._exit(0)
        torch.set_grad_enabled(True)
        torch.set_default_dtype(kind)
        if torch.get_default_device() != device:
            torch.set_default_device(None if device == torch.device("cpu") else device)  # any but None slows every call
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic)
        torch.autograd.set_detect_anomaly(anomalies)
        for name, enabled in autocast.items():
            torch.set_autocast_enabled(name, enabled)
        os.chdir(folder)
        sys.setrecursionlimit(limit)
        sys.stdout, sys.stderr = (open(os.devnull, "w") if stream and stream.closed else stream for stream in streams)  # noqa: SIM115
        if hasattr(signal, "alarm") and threading.current_thread() is threading.main_thread():
            signal.alarm(0)
        if dict(os.environ) != environment:
            os.environ.clear()
            os.environ.update(environment)
        random.setstate(draws)
        np.random.set_state(numpy_draws)


def described(error: BaseException) -> str:
    """The kind of an error and its text, cleaned."""
    return clean(f"{type(error).__name__}: {clean(error, LONGEST)}", LONGEST)


@contextmanager
def exits_are_errors() -> Iterator[None]:
    """Turn a plugin's ``SystemExit`` and the like into an error of its cell, so that they end nothing else. A
    ``KeyboardInterrupt`` is a plugin's if this process ignores Ctrl-C, as workers do."""
    try:
        yield
    except (SystemExit, GeneratorExit) as error:
        raise RuntimeError(f"{type(error).__name__} was raised: {clean(error, LONGEST)}") from error
    except KeyboardInterrupt as error:
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            raise
        raise RuntimeError("KeyboardInterrupt was raised") from error
