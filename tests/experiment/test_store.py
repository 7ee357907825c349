"""What is on disk is whole or is not there."""

from __future__ import annotations

import errno
import json
import os

import numpy as np
import pytest
import torch
from safetensors import safe_open

from benchmark.config.errors import UserError
from benchmark.experiment.store import FINAL, STATUSES, Store, cell_hash, write_atomically
from benchmark.method.checkpoints import HEADER

KEY = "ab" + "0" * 18


def test_the_hash_is_of_content_and_not_of_order():
    one, two = {"a": 1, "b": [1, {"c": 2}]}, {"b": [1, {"c": 2}], "a": 1}
    assert cell_hash(one) == cell_hash(two)
    assert len(cell_hash(one)) == 20
    for other in ({"a": 2, "b": [1, {"c": 2}]}, {"a": 1}, {"a": 1, "b": [{"c": 2}, 1]}, {"a": "1", "b": [1, {"c": 2}]}):
        assert cell_hash(other) != cell_hash(one)


def test_write_is_all_or_nothing(tmp_path, monkeypatch):
    """A crash between writing and renaming leaves the old content and no reader sees the new one."""
    file = tmp_path / "sub" / "file"
    write_atomically(file, b"old")
    seen = []

    def crash(source, target):
        seen.append((os.path.getsize(source), file.read_bytes()))
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(file, b"new and longer")
    assert seen == [(14, b"old")]
    assert file.read_bytes() == b"old"


def test_write_syncs_before_it_renames(tmp_path, monkeypatch):
    order = []
    sync, rename = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: order.append("sync") or sync(handle))
    monkeypatch.setattr(os, "replace", lambda *names: order.append("rename") or rename(*names))
    write_atomically(tmp_path / "file", b"x")
    assert order == ["sync", "rename"]


def test_a_full_disk_is_a_user_error_and_leaves_nothing(tmp_path, monkeypatch):
    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="No space left on device"):
        write_atomically(tmp_path / "file", b"x")
    assert list(tmp_path.iterdir()) == []


def test_records_come_back(tmp_path):
    store = Store(tmp_path)
    assert store.record(KEY) is None
    assert store.status(KEY) is None
    store.write(KEY, {"kind": "train"}, "ok", seconds=1.5)
    assert store.status(KEY) == "ok"
    assert store.record(KEY)["seconds"] == 1.5
    assert store.record(KEY)["config"] == {"kind": "train"}
    store.write(KEY, {"kind": "train"}, "failed", reason="why")
    assert store.record(KEY)["reason"] == "why"


@pytest.mark.parametrize("damage", ["torn", "empty", "list", "other key", "other schema", "binary", "temporary only"])
def test_a_bad_record_is_no_record(tmp_path, damage):
    store = Store(tmp_path)
    store.write(KEY, {}, "ok")
    file = store.folder(KEY) / "record.json"
    content = json.loads(file.read_text())
    text = {
        "torn": file.read_text()[:-20],
        "empty": "",
        "list": "[]",
        "other key": json.dumps(content | {"key": "cd" + "0" * 18}),
        "other schema": json.dumps(content | {"schema": 0}),
    }
    if damage == "binary":
        file.write_bytes(b"\xff\xfe\x00")
    elif damage == "temporary only":
        file.rename(file.with_name(".record.json.123.abc"))
    else:
        file.write_text(text[damage])
    assert store.record(KEY) is None
    assert store.status(KEY) is None


def test_a_module_is_fp32_and_comes_back_bit_for_bit(tmp_path):
    store, generator = Store(tmp_path), torch.Generator().manual_seed(0)
    tensors = {"a.weight": torch.randn(3, 4, generator=generator), "b": torch.randn(5, 2, generator=generator).T}
    sha = store.save_module(KEY, tensors, {"method": "x"})
    again = store.load_module(KEY, sha)
    assert again.keys() == tensors.keys()
    assert all(torch.equal(again[name], value) and again[name].dtype == torch.float32 for name, value in tensors.items())
    with safe_open(store.folder(KEY) / "module.safetensors", framework="pt") as file:
        assert json.loads(file.metadata()[HEADER]) == {"method": "x"}
    assert store.save_module(KEY, tensors, {"method": "x"}) == sha  # the same tensors are the same bytes
    assert sorted(file.name for file in store.folder(KEY).iterdir()) == ["module.safetensors"]


def test_a_module_of_nothing(tmp_path):
    store = Store(tmp_path)
    assert store.load_module(KEY, store.save_module(KEY, {}, {})) == {}


@pytest.mark.parametrize("damage", ["changed", "cut", "gone"])
def test_a_changed_module_is_noticed(tmp_path, damage):
    store = Store(tmp_path)
    sha = store.save_module(KEY, {"a": torch.zeros(8)}, {})
    file = store.folder(KEY) / "module.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(content if damage == "changed" else content[:-4])
    with pytest.raises(UserError, match=r"module\.safetensors .*remove .* and run again"):
        store.load_module(KEY, sha)


def test_predictions_come_back(tmp_path):
    store = Store(tmp_path)
    predictions = {"base": np.array([0, 1, 65535], np.uint16), "toy-noisy": np.array([], np.uint16)}
    store.save_predictions(KEY, predictions)
    again = store.predictions(KEY)
    assert again.keys() == predictions.keys()
    assert all(
        again[name].tolist() == value.tolist() and again[name].dtype == np.uint16 for name, value in predictions.items()
    )


def test_what_is_worth_trying_again_is_not_final():
    assert set(STATUSES) > FINAL
    assert not FINAL & {"failed", "oom", "timeout", "killed", "blocked", "skipped"}
