"""Many kills at random moments, of workers and of the driver: nothing is lost, nothing is left running."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from benchmark.experiment.store import Store
from benchmark.experiment.verify import examine

KILLS = int(os.environ.get("KILLS", "12"))
"""For each executor. More: KILLS=100 pytest -m slow tests/experiment/test_kills.py -n 0."""
OPTIONS = (
    "--upgrade-pairs=wide.yaml --device=cpu --workers=2 --no-report --protocols=base-to-new --seeds=1,2,3,4 "
    "--methods=zero-shot,coop,clip-adapter,clip-lora --set=coop.steps=20 --set=clip-adapter.steps=20 --set=clip-lora.steps=8"
).split()


@pytest.fixture(scope="module")
def undisturbed(world, tmp_path_factory) -> bytes:
    """The table of a run that nobody kills."""
    out = tmp_path_factory.mktemp("undisturbed")
    done = world.run(*OPTIONS, f"--out={out}")
    assert done.status == 0, done.err
    return (out / "results.csv").read_bytes()


def alive(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return process.status() != psutil.STATUS_ZOMBIE
    return False


def disturbed(world, out: Path, executor: str, rng: random.Random) -> int:
    """Start the run and kill the driver or a worker now and then, until the driver ends; returns how many kills hit."""
    driver, hits = world.start(*OPTIONS, f"--out={out}", f"--executor={executor}"), 0
    seen: set[psutil.Process] = set()
    while driver.poll() is None and hits < 4:
        time.sleep(rng.uniform(0.2, 2.5))
        with suppress(psutil.Error):
            children = psutil.Process(driver.pid).children(recursive=True)
            seen |= set(children)
            victims = [psutil.Process(driver.pid), *children]
            victim = rng.choice(victims if (out / "cells").exists() else victims[:1])
            victim.send_signal(signal.SIGKILL)
            hits += 1
    if driver.poll() is None:
        driver.kill()
    driver.communicate()
    deadline = time.monotonic() + 30
    while any(map(alive, seen)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not [process for process in seen if alive(process)], "a process outlived its driver"
    return hits


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["in-process", "local"])
def test_kills_lose_nothing(world, undisturbed, tmp_path, executor):
    rng, kills, round_ = random.Random(f"{executor} 7"), 0, 0
    while kills < KILLS:
        round_ += 1
        out = tmp_path / str(round_)
        for _ in range(5):
            kills += disturbed(world, out, executor, rng)
            if (out / "results.csv").exists():
                break
        for _ in range(3):  # a cell whose worker was killed twice in a row counts as failed until the command is repeated
            done = world.run(*OPTIONS, f"--out={out}", f"--executor={executor}")
            if done.status == 0:
                break
        assert done.status == 0, done.err
        assert (out / "results.csv").read_bytes() == undisturbed
        assert not [problem for _, problem in examine(Store(out)) if problem]
