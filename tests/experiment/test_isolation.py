"""Switches of the process and of torch are put back; texts of errors are made harmless."""

from __future__ import annotations

import os
import random
import signal
import sys

import numpy as np
import pytest
import torch

from benchmark.experiment.isolation import exits_are_errors, switches_kept


def state() -> tuple:
    return (
        torch.is_grad_enabled(),
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.get_num_threads(),
        torch.is_autocast_enabled("cpu"),
        torch.are_deterministic_algorithms_enabled(),
        torch.is_anomaly_enabled(),
        os.getcwd(),
        sys.getrecursionlimit(),
        id(sys.stdout),
        signal.alarm(0),
        os.environ.get("CLIP_COMPAT_TEST"),
        random.getstate(),
        np.random.get_state()[1].tolist(),
    )


SWITCHES = {
    "gradients": lambda: torch.set_grad_enabled(False),
    "default type": lambda: torch.set_default_dtype(torch.float64),
    "default device": lambda: torch.set_default_device("meta"),
    "threads": lambda: torch.set_num_threads(torch.get_num_threads() + 1),
    "autocast": lambda: torch.set_autocast_enabled("cpu", True),
    "deterministic": lambda: torch.use_deterministic_algorithms(True),
    "anomalies": lambda: torch.autograd.set_detect_anomaly(True),
    "folder": lambda: os.chdir("/"),
    "recursion": lambda: sys.setrecursionlimit(5000),
    "standard output": lambda: setattr(sys, "stdout", None),
    "alarm": lambda: signal.alarm(1000),
    "environment": lambda: os.environ.update(CLIP_COMPAT_TEST="1"),
    "random": lambda: random.seed(5),
    "numpy": lambda: np.random.seed(5),
}


@pytest.mark.parametrize("name", SWITCHES)
@pytest.mark.parametrize("fails", [False, True])
def test_switches_are_put_back(name, fails):
    before = state()
    try:
        with switches_kept():
            SWITCHES[name]()
            if fails:
                raise ValueError
    except ValueError:
        assert fails
    assert state() == before


@pytest.mark.parametrize("error", [SystemExit(0), SystemExit("bye"), GeneratorExit()])
def test_exits_are_errors(error):
    with pytest.raises(RuntimeError, match=f"{type(error).__name__} was raised"), exits_are_errors():
        raise error


@pytest.mark.parametrize("ignored", [False, True])
def test_ctrl_c_is_the_users_unless_it_is_ignored(ignored):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN if ignored else signal.default_int_handler)
    try:
        with pytest.raises(RuntimeError if ignored else KeyboardInterrupt), exits_are_errors():
            raise KeyboardInterrupt
    finally:
        signal.signal(signal.SIGINT, before)
