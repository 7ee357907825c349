"""Whole runs from the command line, on tiny backbones and toy data, and everything that may go wrong in one."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import signal
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest
from filelock import FileLock

from benchmark.report import render
from benchmark.results.archive import read

FEW = ["--set=coop.steps=2", "--set=clip-adapter.steps=3", "--set=clip-lora.steps=2"]
ALL = {"zero-shot", "coop", "clip-adapter", "clip-lora"}
SOME = f"--methods={','.join(sorted(ALL))}"


def arguments(out: Path, *more: str) -> list[str]:
    return ["--upgrade-pairs=wide.yaml", "--device=cpu", "--workers=1", f"--out={out}", "--no-report", SOME, *FEW, *more]


def records(out: Path) -> dict[str, dict]:
    """All finished records by key."""
    files = sorted(out.glob("cells/*/*/record.json"))
    return {file.parent.name: json.loads(file.read_text(encoding="utf-8")) for file in files}


def fingerprint(out: Path) -> dict[str, tuple[int, str]]:
    """Time and hash of every file of every cell."""
    files = [file for file in sorted(out.glob("cells/*/*/*")) if file.is_file()]
    return {str(f): (f.stat().st_mtime_ns, hashlib.sha256(f.read_bytes()).hexdigest()) for f in files}


def table(out: Path, name: str = "results.csv") -> pd.DataFrame:
    return pd.read_csv(out / name, keep_default_na=False)


@pytest.fixture(scope="module")
def base(world, tmp_path_factory):
    """One whole run, and its output."""
    out = tmp_path_factory.mktemp("base") / "results"
    done = world.call(*arguments(out))
    assert done.status == 0, done.err
    done.folder = out
    return done


@pytest.fixture
def copy(base, tmp_path) -> Path:
    """The base run's results, to go on from."""
    return Path(shutil.copytree(base.folder, tmp_path / "results"))


def test_a_run_writes_tables_and_records(base):
    for name in ("results.csv", "runs.csv", "uncertainty.csv"):
        assert (base.folder / name).stat().st_size > 1000, name
    assert "Traceback" not in base.err
    assert "60 ok, 4 incompatible" in base.out
    assert len(records(base.folder)) == 64


def test_every_pair_method_and_strategy_has_its_rows(base):
    found = table(base.folder)
    assert set(found.pair) == {"native->native", "native->eva", "native->narrow"}
    assert set(found.method) == ALL
    assert set(found.strategy) == {"old", "reuse", "retrain"}
    counts = found[found.metric == "accuracy"].groupby(["pair", "method", "strategy", "protocol"]).size()
    assert len(counts) == 3 * 4 * 3 * 2
    shown = found[found.status == "ok"]
    assert shown.value.astype(float).between(0, 100).all()
    assert set(shown[shown.protocol == "domain"].test_set) == {"", "toy-noisy"}
    assert not found.duplicated([name for name in found.columns if name not in ("value", "n", "status", "reason")]).any()


def test_accuracies_are_those_of_the_stored_predictions(base, world):
    """The CSV against a count over the predictions and the data set's own labels."""
    import numpy as np

    found, checked = table(base.folder), 0
    chosen = found[(found.protocol == "base-to-new") & (found.metric == "accuracy") & (found.status == "ok")]
    for cell in records(base.folder).values():
        if cell["config"]["kind"] != "eval" or cell["status"] != "ok" or "base" not in cell["accuracy"]:
            continue
        with np.load(base.folder / "cells" / cell["key"][:2] / cell["key"] / "predictions.npz") as stored:
            labels = np.repeat(np.arange(4), 5)
            for part in ("base", "new"):
                assert stored[part].shape == (20,)
                assert cell["accuracy"][part] == pytest.approx(100 * (stored[part] == labels).mean())
                assert round(cell["accuracy"][part], 4) in chosen[chosen.split == part].value.astype(float).to_numpy()
                checked += 1
    assert checked > 30


def test_what_does_not_fit_has_a_row_and_a_reason(base):
    found = table(base.folder)
    incompatible = found[found.status == "incompatible"]
    assert set(incompatible.method) == {"clip-adapter", "clip-lora"}
    assert set(incompatible.strategy) == {"reuse"}
    assert set(incompatible.value) == {""}
    assert incompatible.reason.str.contains("must be").all()
    assert set(incompatible[incompatible.method == "clip-adapter"].pair) == {"native->narrow"}


def test_identity_upgrade_changes_nothing(base):
    """Old and reuse rows are equal to the last digit, retraining too, and nothing flips."""
    found = table(base.folder)
    same = found[found.pair == "native->native"]
    keys = ["method", "config", "dataset", "test_set", "protocol", "split"]
    columns = same[same.metric == "accuracy"].pivot(index=keys, columns="strategy", values="value")
    assert len(columns) == 4 * 5
    assert (columns.old == columns.reuse).all()
    assert (columns.old == columns.retrain).all()
    assert (same[same.metric.str.endswith("flip")].value.astype(float) == 0).all()


def test_the_images_part_in_the_uncertainty_is_a_table_too(base):
    """Of every split and H, for every two methods that have it; nothing is uncertain about an identity upgrade's gain."""
    found = table(base.folder, "uncertainty.csv")
    lifts = found[(found.quantity == "lift") & (found.pair == "native->eva") & (found.protocol == "base-to-new")]
    fits = len(ALL - {"clip-lora"})
    assert set(lifts.split) == {"base", "new", "H"}
    assert (lifts.groupby("split").size() == fits * (fits + 1) / 2).all()
    own = lifts[(lifts.method == lifts.other) & (lifts.method != "zero-shot")]
    assert (own.covariance >= 0).all()
    assert own.covariance.max() > 0
    assert (lifts[lifts.method == "zero-shot"].covariance == 0).all()
    same = found[(found.pair == "native->native") & (found.quantity == "gain")]
    assert len(same)
    assert (same.covariance == 0).all()
    assert set(found[(found.protocol == "domain")].test_set) == {"", "toy-noisy"}


def test_a_method_of_its_training_classes_is_scored_on_variants_of_them(base, copy, world):
    """Tip-Adapter knows all classes of the toy set, so also the six of its shifted test set, but no new ones."""
    options = ["--upgrade-pairs=wide.yaml", "--device=cpu", "--workers=0", f"--out={copy}", "--no-report"]
    done = world.call(*options, "--methods=zero-shot,tip-adapter")
    assert done.status == 0, done.err
    found = table(copy)
    mine = found[(found.method == "tip-adapter") & (found.metric == "accuracy")]
    assert set(mine.status) == {"ok"}
    assert set(mine[mine.protocol == "domain"].test_set) == {"", "toy-noisy"}
    assert set(mine[mine.protocol == "base-to-new"].split) == {"base"}
    same = mine[mine.pair == "native->native"].pivot(index=["protocol", "test_set"], columns="strategy", values="value")
    assert (same.old == same.reuse).all()
    assert (same.old == same.retrain).all()


def test_zero_shot_is_the_same_whatever_it_was_trained_on(base):
    found = table(base.folder)
    zero = found[(found.method == "zero-shot") & (found.metric == "accuracy")]
    wide = zero.pivot(index=["pair", "protocol", "test_set", "split"], columns="strategy", values="value")
    assert (wide.reuse == wide.retrain).all()


def test_a_second_run_computes_nothing_and_writes_the_same_table(base, copy, world):
    (copy / "results.csv").unlink()
    before = fingerprint(copy)
    done = world.call(*arguments(copy))
    assert done.status == 0, done.err
    assert "cells to do" not in done.err
    assert "report:" not in done.out, "none was asked for"
    assert fingerprint(copy) == before
    for name in ("results.csv", "uncertainty.csv"):
        assert (copy / name).read_bytes() == (base.folder / name).read_bytes(), name


def wait_for(condition, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def count(out: Path) -> int:
    return len(list(out.glob("cells/*/*/record.json")))


def gone(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_killed_run_leaves_no_worker_and_is_resumed_to_the_same_table(base, world, tmp_path):
    """SIGKILL of the driver at a random moment; then two workers finish what one began."""
    out, part = tmp_path / "results", "--protocols=base-to-new"
    rng = random.Random(20)
    driver = world.start(*arguments(out, part))
    try:
        wanted = rng.randrange(5, 12)
        wait_for(lambda: count(out) >= wanted or driver.poll() is not None)
        time.sleep(rng.random() * 0.1)
        workers = psutil.Process(driver.pid).children(recursive=True)
        assert workers
    finally:
        driver.kill()
        driver.communicate()
    assert driver.returncode == -signal.SIGKILL
    wait_for(lambda: all(gone(worker) for worker in workers), 15)
    before = fingerprint(out)
    assert 0 < count(out) < 32
    done = world.call(*arguments(out, part, "--workers=2"))
    assert done.status == 0, done.err
    whole = (base.folder / "results.csv").read_bytes().splitlines(keepends=True)
    assert (out / "results.csv").read_bytes() == b"".join([whole[0], *(line for line in whole if b",base-to-new," in line)])
    after = fingerprint(out)
    finished = {str(Path(f).parent) for f in before if f.endswith("record.json")}
    assert all(after[f] == seen for f, seen in before.items() if str(Path(f).parent) in finished)


def test_ctrl_c_stops_with_130_and_keeps_what_is_finished(world, tmp_path):
    out = tmp_path / "results"
    driver = world.start(*arguments(out))
    wait_for(lambda: count(out) >= 4 or driver.poll() is not None)
    workers = psutil.Process(driver.pid).children(recursive=True)
    driver.send_signal(signal.SIGINT)
    _, err = driver.communicate(timeout=60)
    assert driver.returncode == 130
    assert "interrupted" in err
    assert "Traceback" not in err
    wait_for(lambda: all(gone(worker) for worker in workers), 15)  # the resource tracker takes a moment
    kept = records(out)
    assert len(kept) >= 4
    assert {record["status"] for record in kept.values()} <= {"ok", "incompatible"}
    with FileLock(out / ".lock", timeout=0):
        pass


def test_a_second_driver_on_the_same_results_is_refused(cli, tmp_path):
    out = tmp_path / "results"
    out.mkdir()
    with FileLock(out / ".lock"):
        done = cli(*arguments(out))
    assert done.status == 2
    assert done.err.strip().count("\n") == 0
    assert str(out) in done.err
    assert "another run" in done.err
    assert not (out / "cells").exists()


# --- methods that misbehave ---------------------------------------------------------------------------------------

GOOD = '''
"""Learns one offset for all class features."""

import torch
from torch import nn

from benchmark.method import Info, Method


class Shift(Method):
    """t_c' = t_c + o."""

    info = Info(
        name="{name}",
        title="Dropped in: {name}",
        summary="one offset for all classes",
        tunes=("features",),
        depth="deep",
    )
    presets = {{"small": {{"epochs": 2, "lr": 0.05}}}}

    def build(self):
        self.offset = nn.Parameter(torch.zeros(self.backbone.embed_dim))

    def class_features(self):
        return self.zero_shot_features + self.offset
'''
LOSSES = {
    "boom": "raise ValueError('this method is wrong on purpose')",
    "killer": "import os; os.kill(os.getpid(), 9)",
    "nan": "return super().loss(batch) * float('nan')",
    "sleeper": "import time; time.sleep(600)",
    "meddler": "self.backbone.model.logit_scale.data.add_(1.0); return super().loss(batch)",
    "memory": "raise MemoryError('no room')",
}
STATUSES = {
    "boom": "failed",
    "killer": "killed",
    "nan": "diverged",
    "sleeper": "timeout",
    "meddler": "failed",
    "memory": "oom",
}
REASONS = {
    "boom": "ValueError: this method is wrong on purpose",
    "killer": "SIGKILL",
    "nan": "the loss is nan at step 1",
    "sleeper": "longer than 4 s",
    "meddler": "changed the weights",
    "memory": "no room",
}


@pytest.fixture(scope="module")
def trouble(base, world, backbone_folders, tmp_path_factory):
    """A run with methods that fail in every way beside one that works, on top of the base run's results."""
    from fixtures.checkout import make_world

    place = tmp_path_factory.mktemp("trouble")
    other = make_world(place / "world", backbone_folders)
    for name, line in LOSSES.items():
        text = GOOD.format(name=name) + f"\n    def loss(self, batch):\n        {line}\n"
        (other.root / "methods" / f"{name}.py").write_text(text)
    (other.root / "methods" / "shift.py").write_text(GOOD.format(name="shift"))
    (other.root / "methods" / "typo.py").write_text("def broken(:\n")
    out = Path(shutil.copytree(base.folder, place / "results"))
    done = other.call(
        *arguments(out, "--upgrade-pairs=identity.yaml", "--methods=all", "--protocols=base-to-new", "--cell-timeout=4")
    )
    done.folder, done.world = out, other
    return done


def test_a_failing_method_costs_only_its_own_cells(trouble):
    assert trouble.status == 1
    assert "Traceback" not in trouble.err
    found = table(trouble.folder)
    for name in ALL | {"shift"}:
        assert set(found[found.method == name].status) == {"ok"}, name


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_a_failing_method_has_its_status_and_reason(trouble, name):
    runs, found = table(trouble.folder, "runs.csv"), table(trouble.folder)
    training = runs[(runs.method == name) & (runs.kind == "train")]
    assert set(training.status) == {STATUSES[name]}
    key = training.key.iloc[0]
    assert REASONS[name] in records(trouble.folder)[key]["reason"]
    assert REASONS[name] in trouble.err
    rows = found[found.method == name]
    assert len(rows) > 0
    assert set(rows.status) <= {STATUSES[name], "blocked"}
    assert set(rows.value) == {""}


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_the_table_says_why_a_method_has_no_figures(trouble, name):
    """Nobody should have to open a record to learn why a row is empty."""
    found = table(trouble.folder)
    assert found[found.method == name].reason.str.contains(REASONS[name], regex=False).all()


def test_a_broken_plugin_is_named_and_left_out(trouble):
    line = next(line for line in trouble.err.splitlines() if "typo" in line)
    assert "broken" in line
    assert "SyntaxError" in line
    assert "typo.py" in line
    assert "typo" not in set(table(trouble.folder).method)


def test_asking_for_a_broken_plugin_is_an_error(trouble, tmp_path):
    done = trouble.world.call("--device=cpu", f"--out={tmp_path}/results", "--methods=typo,zero-shot")
    assert done.status == 2
    errors = [line for line in done.err.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert "typo" in errors[0]
    assert "SyntaxError" in errors[0]
    assert "Traceback" not in done.err


def test_a_dropped_in_method_is_in_table_and_report(trouble):
    found = table(trouble.folder)
    rows = found[(found.method == "shift") & (found.metric == "accuracy")]
    assert len(rows) == 3 * 3  # old, reuse, retrain x base, new, H
    assert set(rows.config) == {"default"}
    assert "Dropped in: shift" in render(read(trouble.folder))


def test_finished_cells_of_the_base_run_were_not_computed_again(trouble, base):
    before, after = records(base.folder), records(trouble.folder)
    assert before.keys() < after.keys()
    assert all(after[key] == record for key, record in before.items())
