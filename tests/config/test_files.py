"""A file is whole or is not there, and what a killed process leaves behind goes away."""

from __future__ import annotations

import errno
import os
import time

import pytest

from benchmark.config.errors import UserError
from benchmark.config.files import DAY, STAGING, remove_leftovers, slug, temporary_name, write_atomically


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


def test_an_unlink_that_fails_does_not_hide_the_error(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device")))
    monkeypatch.setattr(type(tmp_path), "unlink", fail)
    with pytest.raises(UserError, match="No space left on device"):
        write_atomically(tmp_path / "file", b"x")


def test_leftovers_of_a_day_ago_are_removed_and_nothing_else(tmp_path):
    kept = [tmp_path / "results.csv", tmp_path / ".lock", tmp_path / ".config", tmp_path / "features" / "a.safetensors"]
    kept += [tmp_path / "mine" / temporary_name("x")]  # a folder that is not ours
    old = [tmp_path / temporary_name("results.csv"), tmp_path / "features" / temporary_name("a.safetensors")]
    recent = tmp_path / temporary_name("run.json")
    for file in (*kept, *old, recent, tmp_path / STAGING / temporary_name("ab") / "record.json"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")
    staged = next((tmp_path / STAGING).iterdir())
    for file in (*kept, *old, staged):
        os.utime(file, times=(0, time.time() - DAY - 60))
    assert remove_leftovers(tmp_path) == 3
    assert all(file.exists() for file in kept)
    assert not any(file.exists() for file in (*old, staged))
    assert recent.exists(), "a file of today may be in use"


def test_texts_as_parts_of_file_names():
    assert slug("Lift in H, v1 \N{RIGHTWARDS ARROW} v2") == "lift-in-h-v1-v2"
