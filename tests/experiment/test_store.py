"""A cell is on disk as a whole or not at all, and is what was written or is not used."""

from __future__ import annotations

import errno
import json
import os

import numpy as np
import pytest
import torch
from safetensors import safe_open

from benchmark.config.errors import UserError
from benchmark.config.files import STAGING
from benchmark.experiment.store import FINAL, MODULE, PREDICTIONS, STATUSES, Store, cell_hash, predictions_file, to_json
from benchmark.method.checkpoints import HEADER, module_file

KEY = "ab" + "0" * 18


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path)


def test_the_hash_is_of_content_and_not_of_order():
    one, two = {"a": 1, "b": [1, {"c": 2}]}, {"b": [1, {"c": 2}], "a": 1}
    assert cell_hash(one) == cell_hash(two)
    assert len(cell_hash(one)) == 20
    for other in ({"a": 2, "b": [1, {"c": 2}]}, {"a": 1}, {"a": 1, "b": [{"c": 2}, 1]}, {"a": "1", "b": [1, {"c": 2}]}):
        assert cell_hash(other) != cell_hash(one)


def test_records_come_back(store):
    assert store.record(KEY) is None
    assert store.status(KEY) is None
    store.write(KEY, {"kind": "train"}, "failed", reason="why", seconds=1.5, peak_mb=float("nan"))
    assert store.status(KEY) == "failed"
    assert store.record(KEY)["seconds"] == 1.5
    assert store.record(KEY)["config"] == {"kind": "train"}
    store.write(KEY, {"kind": "train"}, "ok", reason="")
    assert store.record(KEY)["status"] == "ok", "what failed is replaced"


def test_the_first_finished_record_wins(store):
    """Two workers that made the same cell must not mix their files."""
    store.write(KEY, {}, "ok", files={PREDICTIONS: b"first"}, seconds=1)
    store.write(KEY, {}, "ok", files={PREDICTIONS: b"second"}, seconds=2)
    store.write(KEY, {}, "failed", seconds=3)
    assert store.record(KEY)["seconds"] == 1
    assert (store.folder(KEY) / PREDICTIONS).read_bytes() == b"first"
    assert list((store.root / STAGING).iterdir()) == []


def test_what_does_not_verify_does_not_win(store):
    store.write(KEY, {}, "ok", seconds=1)
    (store.folder(KEY) / "record.json").write_text("{}")
    store.write(KEY, {}, "ok", seconds=2)
    assert store.record(KEY)["seconds"] == 2


DAMAGES = (
    "torn empty list other-key other-schema unsealed status accuracy binary deep temporary-only".split()
)  # of the record


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_bad_record_is_no_record(store, damage):
    store.write(KEY, {}, "ok", accuracy={"base": 0.5})
    file = store.folder(KEY) / "record.json"
    content = json.loads(file.read_text())
    text = {
        "torn": file.read_text()[:-20],
        "empty": "",
        "list": "[]",
        "other-key": json.dumps(content | {"key": "cd" + "0" * 18}),
        "other-schema": json.dumps(content | {"schema": 0}),
        "unsealed": json.dumps({name: value for name, value in content.items() if name != "sha256"}),
        "status": json.dumps({name: value for name, value in content.items() if name != "status"}),
        "accuracy": json.dumps(content | {"accuracy": {"base": 0.9}}),
        "deep": "[" * 100_000,
    }
    if damage == "binary":
        file.write_bytes(b"\xff\xfe\x00")
    elif damage == "temporary-only":
        file.rename(file.with_name(".record.json.123.abc"))
    else:
        file.write_text(text[damage])
    assert store.record(KEY) is None
    assert store.status(KEY) is None
    assert "record" in store.damage(KEY, store.record(KEY))


def test_a_record_of_an_earlier_version_is_told_from_a_damaged_one(store):
    store.write(KEY, {}, "ok")
    file = store.folder(KEY) / "record.json"
    file.write_text(json.dumps({"schema": 1, "key": KEY, "status": "ok", "config": {}}))
    assert store.record(KEY) is None
    assert "earlier version" in store.damage(KEY, store.record(KEY))


def test_a_module_is_fp32_and_comes_back_bit_for_bit(store):
    generator = torch.Generator().manual_seed(0)
    tensors = {"a.weight": torch.randn(3, 4, generator=generator), "b": torch.randn(5, 2, generator=generator).T}
    content = module_file(tensors, {"method": "x"})
    assert content == module_file(tensors, {"method": "x"}), "the same tensors are the same bytes"
    store.write(KEY, {}, "ok", files={MODULE: content})
    again = store.load_module(KEY)
    assert again.keys() == tensors.keys()
    assert all(torch.equal(again[name], value) and again[name].dtype == torch.float32 for name, value in tensors.items())
    with safe_open(store.folder(KEY) / MODULE, framework="pt") as file:
        assert json.loads(file.metadata()[HEADER]) == {"method": "x"}
    assert sorted(file.name for file in store.folder(KEY).iterdir()) == [MODULE, "record.json"]


def test_a_module_of_nothing(store):
    store.write(KEY, {}, "ok", files={MODULE: module_file({}, {})})
    assert store.load_module(KEY) == {}


def change(file, damage):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(content if damage == "changed" else content[:-4])


@pytest.mark.parametrize("damage", ["changed", "cut", "gone"])
@pytest.mark.parametrize("name", [MODULE, PREDICTIONS])
def test_a_changed_file_is_noticed(store, name, damage):
    files = {MODULE: module_file({"a": torch.zeros(8)}, {})} | predictions_file({"base": np.arange(9, dtype=np.uint16)})
    store.write(KEY, {}, "ok", files=files)
    assert store.damage(KEY, store.record(KEY)) == ""
    change(store.folder(KEY) / name, damage)
    assert name in store.damage(KEY, store.record(KEY))
    with pytest.raises(UserError, match=rf"{name} .*run the same command again"):
        (store.load_module if name == MODULE else store.predictions)(KEY)


def test_predictions_come_back(store):
    predictions = {"base": np.array([0, 1, 65535], np.uint16), "toy-noisy": np.array([], np.uint16)}
    confidences = {"base": np.array([0.5, 0.25, 1.0])}
    store.write(KEY, {}, "ok", files=predictions_file(predictions, confidences))
    again = store.predictions(KEY)
    assert again.keys() == predictions.keys()
    for name, value in predictions.items():
        assert again[name].tolist() == value.tolist()
        assert again[name].dtype == np.uint16
    assert {name: values.tolist() for name, values in store.confidences(KEY).items()} == {"base": [0.5, 0.25, 1.0]}


def test_a_dropped_cell_is_gone(store):
    store.write(KEY, {}, "ok", files={MODULE: b"x"})
    store.drop(KEY)
    store.drop(KEY)
    assert not store.folder(KEY).exists()
    assert list((store.root / STAGING).iterdir()) == []


def test_a_full_disk_is_a_user_error_and_leaves_nothing(store, monkeypatch):
    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="No space left on device"):
        store.write(KEY, {}, "ok", files={MODULE: b"x"})
    assert not store.folder(KEY).exists()
    assert list((store.root / STAGING).iterdir()) == []


def test_what_is_worth_trying_again_is_not_final():
    assert set(STATUSES) > FINAL
    assert not FINAL & {"failed", "oom", "timeout", "killed", "blocked", "skipped"}


def test_a_name_from_parts_that_are_encoded_already_is_the_same():
    config = {"b": {"y": 1, "x": [1.5, None]}, "a": 'ä"', "c": True}
    assert cell_hash(config, {"b": to_json(config["b"]), "a": to_json('ä"')}) == cell_hash(config)
    assert cell_hash(config, {}) == cell_hash(dict(reversed(config.items())))


def test_names_of_the_cells_that_are_there(tmp_path):
    store = Store(tmp_path)
    assert store.keys() == set()
    for key in ("aa1", "aa2", "bb1"):
        store.write(key, {}, "ok")
    assert store.keys() == {"aa1", "aa2", "bb1"}


@pytest.mark.parametrize(("status", "kept"), [("ok", False), ("diverged", False), ("oom", True), ("timeout", True)])
def test_the_checkpoint_of_a_training_goes_with_its_end(status, kept, tmp_path):
    store = Store(tmp_path)
    store.checkpoint("k").parent.mkdir()
    store.checkpoint("k").write_bytes(b"state")
    store.write("k", {}, status)
    assert store.checkpoint("k").exists() == kept
