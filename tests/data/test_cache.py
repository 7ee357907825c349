"""What is kept on disk to save time is used if it is what was written, and only then."""

from __future__ import annotations

import os
import stat

import numpy as np
import pytest

from benchmark.data.cache import SUFFIX, damaged_arrays, load_array, save_array


@pytest.mark.parametrize("array", [np.arange(6, dtype=np.uint8), np.zeros((0, 4), np.float32), np.ones((5, 2))[::2]])
def test_arrays_come_back(array, tmp_path):
    save_array(tmp_path / "new" / "a", array)
    again = load_array(tmp_path / "new" / "a")
    assert again.dtype == array.dtype
    assert np.array_equal(again, array)


def test_others_may_read_them(tmp_path):
    """A cache that several people share."""
    old = os.umask(0o022)
    try:
        save_array(tmp_path / "a", np.zeros(3))
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o644


def test_any_changed_byte_is_noticed(tmp_path):
    file = tmp_path / f"a{SUFFIX}"
    save_array(file, np.arange(8, dtype=np.uint8))
    content = file.read_bytes()
    for place in range(len(content)):
        file.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        found = load_array(file)
        assert found is None or np.array_equal(found, np.arange(8, dtype=np.uint8)), place
    assert load_array(tmp_path / "absent") is None


def test_damaged_ones_are_listed(tmp_path):
    for name in "ab":
        save_array(tmp_path / f"{name}{SUFFIX}", np.zeros(3))
    (tmp_path / f"b{SUFFIX}").write_bytes(b"x")
    assert damaged_arrays(tmp_path) == [tmp_path / f"b{SUFFIX}"]


def test_a_place_that_cannot_be_written_costs_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    save_array(tmp_path / "file" / "a", np.zeros(3))
