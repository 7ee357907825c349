"""Remembered listings of folders."""

from __future__ import annotations

import os

import pytest

from benchmark.config.errors import UserError
from benchmark.data.coop import listing


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Two settled folders of images, and a count of the folders that are really listed."""
    monkeypatch.setenv("CLIP_COMPAT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(listing, "WORTH", 3)
    looked, list_images = [], listing.list_images
    monkeypatch.setattr(listing, "list_images", lambda folder: looked.append(folder.name) or list_images(folder))
    for folder, names in {"a": ("2.jpg", "1.jpg", "x.txt"), "b": ("3.jpg", "caf\udce9.jpg")}.items():
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / name).write_text("")
        os.utime(tmp_path / folder, (1000, 1000))
    return tmp_path, looked


def test_a_listing_is_remembered_until_a_folder_changes(folders):
    root, looked = folders
    expected = {"a": ["1.jpg", "2.jpg"], "b": ["3.jpg", "caf\udce9.jpg"]}
    assert listing.listed(root, ["a", "b"]) == expected
    assert listing.listed(root, ["a", "b"]) == expected
    assert looked == ["a", "b"]
    (root / "a" / "0.jpg").write_text("")
    assert listing.listed(root, ["a", "b"])["a"] == ["0.jpg", "1.jpg", "2.jpg"]
    assert looked == ["a", "b"] * 2


def test_a_folder_that_was_just_changed_is_listed_again(folders):
    root, looked = folders
    os.utime(root / "b")
    for _ in range(2):
        listing.listed(root, ["a", "b"])
    assert looked == ["a", "b"] * 2


def test_small_folders_are_not_worth_it(folders, monkeypatch):
    root, _ = folders
    monkeypatch.setattr(listing, "WORTH", 5)
    listing.listed(root, ["a", "b"])
    assert not (root / "cache").exists()


@pytest.mark.parametrize("content", ["", "[]", '{"stamps": 1}', "\x00"])
def test_a_damaged_listing_is_not_used(content, folders):
    root, _ = folders
    expected = listing.listed(root, ["a", "b"])
    (file,) = (root / "cache" / "listings").iterdir()
    file.write_text(content)
    assert listing.listed(root, ["a", "b"]) == expected


def test_a_cache_that_cannot_be_written_costs_time_only(folders, monkeypatch):
    root, _ = folders
    (root / "file").write_text("")
    monkeypatch.setenv("CLIP_COMPAT_CACHE", str(root / "file"))
    assert len(listing.listed(root, ["a", "b"])) == 2


def test_a_missing_folder_is_named(folders):
    root, _ = folders
    with pytest.raises(UserError, match="cannot be listed"):
        listing.listed(root, ["a", "c"])
