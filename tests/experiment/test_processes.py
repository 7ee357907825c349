"""Processes that work for the driver: how they are made, and that they end with it."""

from __future__ import annotations

import os
import signal
import sys
import time

import psutil
import pytest

from benchmark.experiment.processes import follow_the_driver, process_maker


@pytest.mark.parametrize(
    ("platform", "gpu", "method"),
    [("linux", False, "fork"), ("linux", True, "spawn"), ("darwin", False, "spawn"), ("win32", True, "spawn")],
)
def test_forks_only_on_linux_cpus(platform, gpu, method, monkeypatch):
    monkeypatch.setattr(sys, "platform", platform)
    assert process_maker(gpu=gpu).get_start_method() == method


def _follow(pipe) -> None:
    follow_the_driver()
    pipe.send(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)
    time.sleep(600)


def _drive(pipe) -> None:
    """A driver that starts a process, tells its number, and waits to be killed."""
    processes = process_maker(gpu=False)
    ours, theirs = processes.Pipe(duplex=False)
    child = processes.Process(target=_follow, args=(theirs,))
    child.start()
    pipe.send((child.pid, ours.recv()))
    time.sleep(600)


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux")
def test_a_process_leaves_ctrl_c_to_the_driver_and_ends_with_it():
    processes = process_maker(gpu=False)
    ours, theirs = processes.Pipe(duplex=False)
    driver = processes.Process(target=_drive, args=(theirs,))
    driver.start()
    number, ignores = ours.recv()
    assert ignores
    os.kill(driver.pid, signal.SIGKILL)
    driver.join()
    end = time.monotonic() + 10
    while psutil.pid_exists(number) and psutil.Process(number).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < end
        time.sleep(0.02)
