"""Ray: whole runs on a cluster of two nodes on this machine, and what is decided without one."""

from __future__ import annotations

import json
import random
import time

import pytest
from fixtures.kills import KILLS, kill_now_and_then, require_whole, running
from fixtures.kills import MATRIX as KILLED
from fixtures.slow_method import SLOW

from benchmark.config.errors import UserError
from benchmark.experiment.executor import Settings, config_of
from benchmark.experiment.executors.ray import Ray
from benchmark.experiment.worker import Context

EXECUTOR = """
executor:
  name: ray
  address: "{address}"
"""
MATRIX = ("--methods=zero-shot,coop", "--protocols=base-to-new", "--set=coop.steps=2")


@pytest.fixture
def cluster():
    """Two nodes with a core each."""
    pytest.importorskip("ray", reason="the extra ray is not installed")
    from ray.cluster_utils import Cluster

    made = Cluster()
    made.add_node(num_cpus=1)
    made.other = made.add_node(num_cpus=1)
    yield made
    made.shutdown()


@pytest.fixture
def given(own_world, cluster):
    (own_world.root / "methods" / "slow.py").write_text(SLOW.strip())
    yaml = own_world.root / "ray.yaml"
    yaml.write_text((own_world.root / "pairs.yaml").read_text() + EXECUTOR.format(address=cluster.address))

    def arguments(out: str, *more: str) -> tuple[str, ...]:
        return ("--upgrade-pairs=ray.yaml", "--device=cpu", "--no-report", f"--out={out}", *more)

    return arguments


def records(world, out: str) -> list[dict]:
    return [json.loads(file.read_text()) for file in (world.root / out / "cells").glob("*/*/record.json")]


@pytest.mark.cluster
def test_the_tables_are_those_of_this_machine_alone(own_world, given):
    """Byte for byte."""
    tables = []
    for out, more in (("cluster", ()), ("here", ("--executor=local", "--workers=2"))):
        done = own_world.run(*given(out, *MATRIX, *more))
        assert done.status == 0, done.err
        tables.append([(own_world.root / out / name).read_bytes() for name in ("results.csv", "uncertainty.csv")])
    assert tables[0] == tables[1]


@pytest.mark.cluster
@pytest.mark.slow
def test_a_lost_node_costs_what_its_actor_was_at(own_world, cluster, given):
    matrix = ("--methods=slow", "--protocols=base-to-new", "--set=slow.steps=2", "--set=slow.wait=15")
    driver = own_world.start(*given("cluster", *matrix))
    deadline = time.monotonic() + 120
    while len(records(own_world, "cluster")) < 6:  # of zero-shot
        assert time.monotonic() < deadline
        time.sleep(0.2)
    cluster.remove_node(cluster.other, allow_graceful=False)
    cluster.add_node(num_cpus=1)
    _, err = driver.communicate(timeout=240)
    assert driver.returncode == 0, err


@pytest.mark.cluster
@pytest.mark.slow
def test_a_cell_that_takes_too_long_is_stopped(own_world, given):
    matrix = ("--methods=slow,coop", "--protocols=base-to-new", "--set=coop.steps=2", "--set=slow.wait=600")
    done = own_world.run(*given("cluster", *matrix, "--cell-timeout=5"))
    assert done.status == 1
    found = records(own_world, "cluster")
    assert {r["status"] for r in found if r["config"].get("method") == "slow"} == {"timeout"}
    assert {r["status"] for r in found if r["config"].get("method") == "coop"} == {"ok"}


@pytest.mark.cluster
@pytest.mark.slow
def test_kills_lose_nothing(own_world, given):
    """Of actors and drivers, at random moments."""
    here = own_world.run(*given("here", *KILLED, "--executor=local", "--workers=2"))
    assert here.status == 0, here.err
    expected = (own_world.root / "here" / "results.csv").read_bytes()
    rng, kills, round_ = random.Random(7), 0, 0
    while kills < KILLS:
        round_ += 1
        command = given(f"out{round_}", *KILLED)
        driver = own_world.start(*command)
        kills += kill_now_and_then(driver, lambda: running("ray::Computer"), rng, pause=6.0)[0]
        require_whole(lambda command=command: own_world.run(*command), own_world.root / f"out{round_}", expected)


# --- without a cluster ------------------------------------------------------------------------------------------------


def test_actors_with_gpus_compute_on_gpus():
    pytest.importorskip("ray", reason="the extra ray is not installed")
    assert Ray.device("auto", config_of("ray", {})) == "cpu"
    assert Ray.device("auto", config_of("ray", {"gpus": 0.5})) == "cuda"
    assert Ray.device("cpu", config_of("ray", {"gpus": 1})) == "cpu"


def test_without_ray_it_says_so(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"Ray is not installed \(fix: pip install 'clip-compat-bench\[ray\]'"):
        Ray.device("auto", config_of("ray", {}))


@pytest.mark.parametrize("given", [{"cpus": 0}, {"gpu": 1}, {"memory_gb": -1}])
def test_mistakes_in_the_yaml(given):
    with pytest.raises(UserError, match="executor: "):
        config_of("ray", given)


def test_a_cluster_without_room_is_said(tmp_path, monkeypatch):
    ray = pytest.importorskip("ray", reason="the extra ray is not installed")
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 8.0})
    context = Context({}, (), tmp_path, None, "cuda", "fp32")
    with pytest.raises(UserError, match="no room for an actor with 1 CPUs and 1 GPUs"):
        Ray(context, Settings(), config_of("ray", {"gpus": 1}))._room()
    assert Ray(context, Settings(), config_of("ray", {"cpus": 2}))._room() == 4
