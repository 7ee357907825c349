"""Many kills at random moments, of workers and of the driver: nothing is lost, nothing is left running."""

from __future__ import annotations

import random
import time

import psutil
import pytest
from fixtures.kills import KILLS, MATRIX, alive, kill_now_and_then, require_whole

OPTIONS = ("--upgrade-pairs=wide.yaml", "--device=cpu", "--workers=2", "--no-report", *MATRIX)


@pytest.fixture(scope="module")
def undisturbed(world, tmp_path_factory) -> bytes:
    """The table of a run that nobody kills."""
    out = tmp_path_factory.mktemp("undisturbed")
    done = world.run(*OPTIONS, f"--out={out}")
    assert done.status == 0, done.err
    return (out / "results.csv").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["in-process", "local"])
def test_kills_lose_nothing(world, undisturbed, tmp_path, executor):
    rng, kills, round_ = random.Random(f"{executor} 7"), 0, 0
    while kills < KILLS:
        round_ += 1
        out = tmp_path / str(round_)
        given = (*OPTIONS, f"--out={out}", f"--executor={executor}")
        for _ in range(5):
            driver = world.start(*given)

            def workers(driver=driver, out=out) -> list[psutil.Process]:
                return psutil.Process(driver.pid).children(recursive=True) if (out / "cells").exists() else []

            hits, seen = kill_now_and_then(driver, workers, rng)
            kills += hits
            deadline = time.monotonic() + 30
            while any(map(alive, seen)) and time.monotonic() < deadline:
                time.sleep(0.1)
            assert not [process for process in seen if alive(process)], "a process outlived its driver"
            if (out / "results.csv").exists():
                break
        require_whole(lambda given=given: world.run(*given), out, undisturbed)
