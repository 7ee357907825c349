"""SLURM: whole runs on a real one, and what is decided without it."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest
from fixtures import slurm
from fixtures.kills import KILLS, kill_now_and_then, require_whole, running
from fixtures.kills import MATRIX as KILLED
from fixtures.slow_method import SLOW

from benchmark.config.errors import UserError
from benchmark.experiment.executor import Settings, config_of
from benchmark.experiment.executors import slurm as module
from benchmark.experiment.executors.slurm import Needs, Slurm
from benchmark.experiment.plan import Cell, Configuration, Job
from benchmark.experiment.store import Store
from benchmark.experiment.work_order import WorkOrder
from benchmark.experiment.worker import Context

EXECUTOR = """
executor:
  name: slurm
  poll_seconds: 0.5
  task_minutes: {minutes}
  walltime: "0:10:00"
  memory: 1G
"""
MATRIX = ("--methods=zero-shot,coop", "--protocols=base-to-new", "--set=coop.steps=2")


@pytest.fixture(scope="module")
def cluster():
    if slurm.missing():
        pytest.skip(slurm.missing())
    root = Path(tempfile.mkdtemp(prefix="slurm"))  # short: it holds a socket
    made = slurm.start(root)
    yield made
    made.stop()
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture
def run(own_world, cluster):
    """The world with SLURM in its YAML, and a driver's arguments."""
    own_world.env.update({"SLURM_CONF": cluster.env["SLURM_CONF"]})
    (own_world.root / "methods" / "slow.py").write_text(SLOW.strip())

    def arguments(out: str, *more: str, minutes: float = 10, matrix: tuple[str, ...] = MATRIX) -> tuple[str, ...]:
        yaml = own_world.root / "slurm.yaml"
        text = (own_world.root / "pairs.yaml").read_text()
        yaml.write_text(text + EXECUTOR.format(minutes=minutes))
        return ("--upgrade-pairs=slurm.yaml", *matrix, "--device=cpu", "--no-report", f"--out={out}", *more)

    return arguments


def wait_for(condition, seconds: float = 120.0):
    """What a condition returns as soon as it is true."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.2)
    return found


def tables(world, out: str) -> list[bytes]:
    return [(world.root / out / name).read_bytes() for name in ("results.csv", "uncertainty.csv")]


def waiting_tasks(world, out: str) -> list[str]:
    """Tasks, as SLURM calls them, that have been at the same cell for three seconds: one of the slow method."""
    found = []
    for folder in (world.root / out / "slurm").glob("*"):
        for array in json.loads((folder / "arrays.json").read_text()) if (folder / "arrays.json").exists() else []:
            for number in range(array["count"]):
                state = folder / "states" / f"{array['first'] + number}.json"
                if state.exists() and json.loads(state.read_text())["current"] and time.time() - state.stat().st_mtime > 3:
                    found.append(f"{array['job']}_{number}")
    return found


def finished_cells(world, out: str) -> int:
    return len(list((world.root / out / "cells").glob("*/*/record.json")))


@pytest.mark.cluster
def test_a_detached_run_goes_on_and_is_attached_to(own_world, cluster, run):
    """Ctrl-C leaves SLURM at work; the same command attaches and submits nothing again. The tables are those of this machine
    alone, byte for byte.
    """
    given = run("cluster", minutes=0.2)
    driver = own_world.start(*given)
    wait_for(lambda: finished_cells(own_world, "cluster"))
    driver.send_signal(signal.SIGINT)
    _, err = driver.communicate(timeout=60)
    assert driver.returncode == 130
    assert "detached: SLURM goes on with" in err
    assert "scancel" in err
    done = own_world.run(*given)
    assert done.status == 0, done.err
    assert len(list((own_world.root / "cluster" / "slurm").iterdir())) == 1
    here = own_world.run(*run("here", "--executor=local", "--workers=2"))
    assert here.status == 0, here.err
    assert tables(own_world, "cluster") == tables(own_world, "here")
    record = json.loads(next((own_world.root / "cluster" / "cells").glob("*/*/record.json")).read_text())
    assert Path(record["log"]).is_file()
    assert record["host"]


@pytest.mark.cluster
@pytest.mark.slow
def test_a_stopped_task_is_started_again(own_world, cluster, run):
    """What SIGTERM does before the end of the walltime: the cell is dropped, and the task is put back into the queue."""
    matrix = ("--methods=slow", "--protocols=base-to-new", "--set=slow.steps=2", "--set=slow.wait=12")
    given = run("cluster", matrix=matrix)
    driver = own_world.start(*given)
    job = wait_for(lambda: waiting_tasks(own_world, "cluster"))[0]
    cluster.call("scancel", "--batch", "--signal=TERM", job)
    wait_for(lambda: "PENDING" in cluster.call("squeue", "-h", "-r", "-j", job, "-o", "%T"), 30)
    cluster.call("scontrol", "update", f"jobid={job}", "starttime=now")
    _, err = driver.communicate(timeout=240)
    assert driver.returncode == 0, err
    here = own_world.run(*run("here", "--executor=local", "--workers=2", matrix=matrix))
    assert here.status == 0, here.err
    assert tables(own_world, "cluster") == tables(own_world, "here")


@pytest.mark.cluster
@pytest.mark.slow
def test_a_preempted_task_is_started_again(own_world, cluster, run):
    matrix = ("--methods=slow", "--protocols=base-to-new", "--set=slow.steps=2", "--set=slow.wait=15")
    driver = own_world.start(*run("cluster", matrix=matrix))
    jobs = wait_for(lambda: waiting_tasks(own_world, "cluster"))
    urgent = cluster.call(
        "sbatch", "--parsable", "-p", "urgent", "-N2", "--exclusive", "-o", "/dev/null", "--wrap", "sleep 3"
    ).strip()
    wait_for(lambda: urgent not in cluster.call("squeue", "-h", "-o", "%A"))
    for job in jobs:
        if job in cluster.call("squeue", "-h", "-r", "-t", "PD", "-o", "%i"):
            cluster.call("scontrol", "update", f"jobid={job}", "starttime=now")
    _, err = driver.communicate(timeout=300)
    assert driver.returncode == 0, err


@pytest.mark.cluster
@pytest.mark.slow
def test_a_cell_that_kills_its_task_twice_is_given_up(own_world, cluster, run):
    """Once with others, which are then computed without it."""
    matrix = (
        "--methods=slow,coop",
        "--protocols=base-to-new",
        "--set=coop.steps=2",
        "--set=slow.steps=2",
        "--set=slow.kill=1",
    )
    done = own_world.run(*run("cluster", matrix=matrix))
    assert done.status == 1, done.err
    assert "its task ended 2 times without finishing it, see " in done.err
    records = [json.loads(file.read_text()) for file in (own_world.root / "cluster" / "cells").glob("*/*/record.json")]
    status = {record["status"] for record in records if record["config"].get("method") == "coop"}
    assert status == {"ok"}
    assert {r["status"] for r in records if r["config"].get("method") == "slow"} == {"killed"}


@pytest.mark.cluster
@pytest.mark.slow
def test_a_lost_node_costs_its_current_cells(own_world, cluster, run):
    matrix = (
        "--methods=slow,coop",
        "--protocols=base-to-new",
        "--set=coop.steps=2",
        "--set=slow.steps=2",
        "--set=slow.wait=6",
    )
    driver = own_world.start(*run("cluster", minutes=0.1, matrix=matrix))
    wait_for(lambda: cluster.call("squeue", "-h", "-r", "-t", "R", "-w", "n1", "-o", "%i").split())
    os.kill(cluster.pid("slurmd.n1"), signal.SIGKILL)
    wait_for(lambda: "down" in cluster.call("sinfo", "-h", "-n", "n1", "-p", "batch", "-o", "%t"))
    for job in cluster.call("squeue", "-h", "-r", "-t", "PD", "-o", "%i").split():
        cluster.call("scontrol", "update", f"jobid={job}", "starttime=now")
    cluster.start_node("n1")
    _, err = driver.communicate(timeout=300)
    assert driver.returncode == 0, err


@pytest.mark.cluster
@pytest.mark.slow
def test_kills_lose_nothing(own_world, cluster, run):
    """Of tasks, their workers and drivers, at random moments. What a dead driver had submitted goes on."""
    here = own_world.run(*run("here", "--executor=local", "--workers=2", matrix=KILLED))
    assert here.status == 0, here.err
    expected = (own_world.root / "here" / "results.csv").read_bytes()
    rng, kills, round_ = random.Random(7), 0, 0
    while kills < KILLS:
        round_ += 1
        given = run(f"out{round_}", minutes=0.1, matrix=KILLED)
        out = own_world.root / f"out{round_}"
        driver = own_world.start(*given)
        hits, _ = kill_now_and_then(driver, lambda: running("benchmark.experiment.task"), rng, pause=5.0)
        kills += hits
        require_whole(lambda given=given: own_world.run(*given), out, expected)
        wait_for(lambda: not cluster.call("squeue", "-h", "-o", "%A").split(), 60)


# --- without SLURM ----------------------------------------------------------------------------------------------------


def job(name: str, method: str = "m", dataset: str = "d", evals: int = 1) -> Job:
    from benchmark.data.task import TaskId

    task = TaskId(dataset, "base-to-new", 16, 1)
    train, *tests = (
        Cell(kind, f"{name}{number}", {}, Configuration(method, "default", {}), "b", task, {})
        for number, kind in enumerate(["train", *["eval"] * evals])
    )
    return Job(train, tuple(tests))


@pytest.fixture
def made(tmp_path, monkeypatch):
    """An executor whose programs of SLURM are written down; ``queue`` is what squeue prints."""
    calls, queue = [], []

    def call(*command: str) -> str:
        calls.append(command)
        if command[0] == "sbatch":
            queue.extend(f"{len(calls)}|{index}" for index in range(_tasks(Path(command[-1]))))
            return f"{len(calls)};site\n"
        return "\n".join(queue) + "\n" if command[0] == "squeue" else "MaxArraySize            = 4\n"

    monkeypatch.setattr(module, "_call", call)
    context = Context({}, (), tmp_path, None, "cpu", "fp32")

    def make(**config) -> Slurm:
        return Slurm(context, Settings(), config_of("slurm", {"poll_seconds": 0.01, **config}))

    make.calls, make.queue, make.store = calls, queue, Store(tmp_path)
    return make


def _tasks(script: Path) -> int:
    line = next(line for line in script.read_text().splitlines() if "--array=0-" in line)
    return int(line.rsplit("-", 1)[1]) + 1


def scripts(made) -> list[str]:
    return [Path(call[-1]).read_text() for call in made.calls if call[0] == "sbatch"]


def test_arrays_are_as_large_as_slurm_allows_and_wait_for_the_features(made):
    executor = made(task_minutes=1.0)
    executor.seconds = lambda job: 60.0
    executor.submit([tuple(job(f"j{number}") for number in range(6))])
    first, *others = scripts(made)
    assert "--array=0-0" in first
    assert "--dependency" not in first
    assert [script.split("--array=")[1].split("\n")[0] for script in others] == ["0-2", "0-1"]
    assert all("--dependency=afterany:" in script for script in others)
    assert "$((4 + SLURM_ARRAY_TASK_ID))" in others[1]


def test_what_methods_need_is_asked_for(made):
    executor = made(
        gres="gpu:1", partition="a100", needs={"co*": {"memory": "60G"}}, flags=["--qos=long"], setup="module load x"
    )
    executor.submit([(job("a"), job("b", method="cocoop"))])
    plain, large = scripts(made)
    assert "--mem" not in plain
    assert "--mem=60G" in large
    for script in (plain, large):
        assert "--gres=gpu:1" in script
        assert "--partition=a100" in script
        assert "#SBATCH --qos=long" in script
        assert "\nmodule load x\n" in script


def test_a_task_has_a_worker_for_each_of_its_cores_or_gpus(made):
    executor = made(cpus=2, needs={"large": {"cpus": 8}})
    executor.submit([(job("a"), job("b", method="large"))])
    assert ["--workers=2 " in script or "--workers=8 " in script for script in scripts(made)] == [True, True]
    executor = made(gres="gpu:1", workers_per_gpu=3)
    executor.context = replace(executor.context, device="cuda")
    executor.submit([(job("c"),)])
    assert "--workers" not in scripts(made)[-1]
    orders = [WorkOrder(folder) for folder in executor.root.iterdir()]
    assert {order.context()[2]["workers_per_gpu"] for order in orders} == {1, 3}


def test_a_task_takes_a_quarter_of_the_walltime_at_most(made):
    executor = made(walltime="1:00:00", task_minutes=60)
    executor.seconds = lambda job: 300.0
    executor.submit([tuple(job(f"j{number}") for number in range(7))])
    order = next((executor.root).iterdir())
    counts = [len(json.loads(file.read_text())) for file in sorted((order / "chunks").iterdir())]
    assert counts == [1, 3, 2, 1] or sorted(counts) == [1, 1, 2, 3]


@pytest.mark.parametrize(("text", "seconds"), [("0:10:00", 600), ("1-02:00:00", 93600), ("48:00:30", 172830)])
def test_walltimes(text, seconds):
    assert Needs(walltime=text).seconds == seconds


def test_a_vanished_task_is_submitted_once_more_and_then_given_up(made):
    executor = made()
    executor.submit([(job("a"), job("b"))])
    made.queue.clear()
    executor.poll(0.01)
    assert len(scripts(made)) == 3, "each job for itself, b for the first time after a"
    made.queue.clear()
    time.sleep(0.02)
    ended = executor.poll(0.01)
    assert [(end.cell.key, end.status) for end in ended] == [
        ("a0", "killed"),
        ("a1", "blocked"),
        ("b0", "killed"),
        ("b1", "blocked"),
    ]
    assert "its task ended 2 times without finishing it" in ended[0].reason
    assert not executor.unfinished


def test_what_a_vanished_task_finished_without_saying_so_counts(made):
    executor = made()
    executor.submit([(job("a"),)])
    for key in ("a0", "a1"):
        made.store.write(key, {}, "ok")
    made.queue.clear()
    assert {end.cell.key for end in executor.poll(0.01)} == {"a0", "a1"}
    assert not executor.unfinished


def test_another_driver_attaches(made):
    first, second = made(), made()
    first.submit([(job("a"), job("b"))])
    submitted = len(scripts(made))
    second.submit([(job("a"), job("b")), (job("c"),)])
    assert len(scripts(made)) == submitted + 1, "c alone"
    assert "detached: SLURM goes on with 6 cells" in second.interrupted()


def test_a_task_that_cannot_compute_ends_the_run(made):
    executor = made()
    executor.submit([(job("a"),)])
    order = next(executor.root.iterdir())
    (order / "errors" / "0.txt").write_text("cannot write x: No space left on device")
    with pytest.raises(UserError, match="No space left"):
        executor.poll(0.01)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"walltime": "4h"}, "walltime"),
        ({"task_minute": 3}, "did you mean 'task_minutes'"),
        ({"needs": {"coop": {"gpu": 1}}}, "gpu"),
    ],
)
def test_mistakes_in_the_yaml(given, words):
    with pytest.raises(UserError, match=words):
        config_of("slurm", given)


def test_without_slurm_it_says_so(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(UserError, match="there is no sbatch here"):
        Slurm.device("auto", config_of("slurm", {}))
    monkeypatch.setattr(shutil, "which", lambda name: name)
    assert Slurm.device("auto", config_of("slurm", {})) == "cpu"
    assert Slurm.device("auto", config_of("slurm", {"gres": "gpu:a100:1"})) == "cuda"


def test_a_dry_run_on_a_login_node_without_a_gpu(world, tmp_path, monkeypatch):
    """It plans cells of GPUs, and counts what it cannot time."""
    monkeypatch.setattr(shutil, "which", lambda name: name)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    yaml = world.root / f"{tmp_path.name}.yaml"
    yaml.write_text((world.root / "pairs.yaml").read_text() + "executor: {name: slurm, gres: 'gpu:1'}\n")
    done = world.call(f"--upgrade-pairs={yaml.name}", "--methods=coop", f"--out={tmp_path}/out", "--dry-run")
    yaml.unlink()
    assert done.status == 0, done.err
    assert "device: cuda" in done.err
    assert "there is no cuda device here: the cost is counted, not timed" in done.out
    assert "GPU-hours" in done.out
