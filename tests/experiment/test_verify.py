"""What does not verify is computed again, with all that depends on it; ``examine`` says so and changes nothing."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from benchmark.config.files import sha256
from benchmark.experiment.store import MODULE, PREDICTIONS, Store, cell_hash
from benchmark.experiment.verify import examine, survey


@pytest.fixture
def finished(tmp_path):
    """A training with two evaluations, one of which did not fit, and another training beside them."""
    store, keys = Store(tmp_path), {}

    def finish(name, config, status="ok", **content):
        keys[name] = cell_hash(config)
        store.write(keys[name], config, status, **content)
        return SimpleNamespace(key=keys[name])

    train = finish("train", {"kind": "train"}, files={MODULE: b"module"})
    how = {"kind": "eval", "module": train.key}
    read = {MODULE: sha256(b"module")}
    good = finish("good", how | {"on": "a"}, files={PREDICTIONS: b"x"}, read=read)
    unfit = finish("unfit", how | {"on": "b"}, "incompatible", reason="too wide")
    other = finish("other", {"kind": "train", "seed": 2}, files={MODULE: b"other"})
    jobs = [SimpleNamespace(train=train, evals=(good, unfit)), SimpleNamespace(train=other, evals=())]
    return SimpleNamespace(store=store, keys=keys, jobs=jobs)


def flip(store, key, name):
    file = store.folder(key) / name
    file.write_bytes(file.read_bytes()[:-1] + b"?")


def left(finished):
    return {name for name, key in finished.keys.items() if finished.store.status(key)}


def test_sound_cells_stay(finished):
    assert not survey(finished.store, finished.jobs).problems
    assert left(finished) == {"train", "good", "unfit", "other"}
    assert dict(examine(finished.store)) == dict.fromkeys(finished.keys.values(), "")


def test_what_is_there_is_read_once(finished, monkeypatch):
    """One pass over the records says all that a run needs to know of them."""
    reads = []
    record = Store.record
    monkeypatch.setattr(Store, "record", lambda self, key: reads.append(key) or record(self, key))
    found = survey(finished.store, finished.jobs)
    assert sorted(reads) == sorted(finished.keys.values())
    assert {name: found.status(key) for name, key in finished.keys.items()} == {
        "train": "ok",
        "good": "ok",
        "unfit": "incompatible",
        "other": "ok",
    }
    train, good = (found.cells[finished.keys[name]] for name in ("train", "good"))
    assert train.module == good.read == sha256(b"module")
    assert not found.is_final(SimpleNamespace(key="absent"))


def test_a_look_at_the_records_alone_removes_nothing(finished):
    flip(finished.store, finished.keys["good"], PREDICTIONS)
    found = survey(finished.store, finished.jobs, files=False)
    assert found.status(finished.keys["good"]) == "ok"
    assert left(finished) == {"train", "good", "unfit", "other"}


def test_damaged_predictions_cost_one_evaluation(finished):
    flip(finished.store, finished.keys["good"], PREDICTIONS)
    assert {key for key, problem in examine(finished.store) if problem} == {finished.keys["good"]}
    problems = survey(finished.store, finished.jobs).problems
    assert problems == {finished.keys["good"]: "predictions.npz is damaged or was edited"}
    assert left(finished) == {"train", "unfit", "other"}


def test_a_damaged_module_costs_its_evaluations_too(finished):
    flip(finished.store, finished.keys["train"], MODULE)
    assert survey(finished.store, finished.jobs).problems.keys() == {finished.keys[n] for n in ("train", "good", "unfit")}
    assert left(finished) == {"other"}


@pytest.mark.parametrize("name", ["train", "good", "unfit"])
def test_an_edited_record_is_no_record(finished, name):
    file = finished.store.folder(finished.keys[name]) / "record.json"
    file.write_text(file.read_text().replace('"status": "', '"status": "not '))
    problems = survey(finished.store, finished.jobs).problems
    assert problems[finished.keys[name]] == "its record is damaged or was edited"


def test_an_evaluation_of_another_module_is_stale(finished):
    """As after a training was removed by hand and computed again on another machine."""
    store, keys = finished.store, finished.keys
    store.drop(keys["train"])
    assert dict(examine(store))[keys["good"]] == "its module is not there"
    store.write(keys["train"], {"kind": "train"}, "ok", files={MODULE: b"new module"})
    assert dict(examine(store))[keys["good"]] == "its module was trained again"
    assert survey(store, finished.jobs).problems == {keys["good"]: "its module was trained again"}
    assert left(finished) == {"train", "unfit", "other"}


def test_a_copied_cell_is_found(finished):
    store, key = finished.store, "ab" * 10
    store.write(key, {"kind": "train"}, "ok")
    assert dict(examine(store))[key] == "its name is not that of its configuration"


def test_unfinished_folders_are_found(finished):
    (finished.store.folder("cd" * 10)).mkdir(parents=True)
    assert dict(examine(finished.store))["cd" * 10] == "it has no record"
