"""Image files: how they are opened and identified, on miniatures of the real data sets."""

from __future__ import annotations

import os
import random

import numpy as np
import pytest
from fixtures import miniature
from fixtures.photos import FACTS, PLUGINS, dataset, parts_of, user_error

from benchmark.data.coop.files import ImageFiles, list_folders, list_images
from benchmark.data.task import DOMAIN, TaskId, make_task


@pytest.mark.parametrize("name", FACTS)
def test_images_open_as_rgb(name, with_splits):
    """Grey images and PNGs named .jpg among them; and each shows its class."""
    splits = dataset(name, with_splits).load()
    clean = [np.random.default_rng(label).integers(0, 256, (4, 4, 3)).repeat(10, 0).repeat(10, 1) for label in range(12)]
    for row in range(len(splits.test)):
        image = splits.test.images[row]
        assert (image.mode, image.size) == ("RGB", (miniature.SIZE, miniature.SIZE))
        pixels = np.asarray(image, float)
        if np.ptp(pixels, axis=2).max() > 0:  # not a grey one
            nearest = min(range(12), key=lambda label: np.abs(pixels - clean[label]).mean())
            assert nearest == splits.test.labels[row]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "an empty file"),
        (b"no image", "not a readable image"),
        (miniature.picture(0, 0, ".jpg")[:400], "not a readable image"),
    ],
    ids=["empty", "text", "cut"],
)
def test_an_unreadable_image_is_named_when_it_is_opened(content, words, tmp_path):
    miniature.build(tmp_path, "eurosat")
    splits = dataset("eurosat", tmp_path).load()
    file = splits.train.images.root / splits.train.images.paths[3]
    file.write_bytes(content)
    splits = dataset("eurosat", tmp_path).load()
    assert splits.train.images[2]
    assert user_error(lambda: splits.train.images[3]).startswith(f"{file}: {words}")


@pytest.mark.parametrize("name", FACTS)
def test_the_digest_does_not_depend_on_where_the_data_lie(name, by_rule, tmp_path):
    miniature.build(tmp_path / "another place", name, split_file=False)
    one, two = dataset(name, by_rule).load(), dataset(name, tmp_path / "another place").load()
    assert one.test.digest == two.test.digest
    if one.train:
        assert one.train.digest == two.train.digest
        hashes = [make_task(PLUGINS[name](), splits, TaskId(name, DOMAIN, 2, 1)) for splits in (one, two)]
        assert hashes[0].split_hash() == hashes[1].split_hash()
        assert hashes[0].test_hash() == hashes[1].test_hash()
    assert one.test.digest != one.test.pick(range(len(one.test) - 1)).digest


@pytest.mark.parametrize("name", FACTS)
@pytest.mark.parametrize("order", [1, 2])
def test_nothing_depends_on_the_order_in_which_a_disk_lists(name, order, by_rule, monkeypatch):
    expected = dataset(name, by_rule).load()
    scandir = os.scandir

    class Disordered:
        def __init__(self, folder):
            with scandir(folder) as entries:
                self.entries = sorted(entries, key=lambda entry: entry.name)
            random.Random(order).shuffle(self.entries)

        def __enter__(self):
            return iter(self.entries)

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(os, "scandir", Disordered)
    actual = dataset(name, by_rule).load()
    assert actual.classes == expected.classes
    for one, two in zip(parts_of(expected).values(), parts_of(actual).values(), strict=True):
        assert (one is None) == (two is None)
        if one and two:
            assert (one.images.paths, one.labels) == (two.images.paths, two.labels)


def test_only_visible_image_files_are_listed_in_order(tmp_path):
    for name in ("b.PNG", "a.jpg", "10.jpeg", "notes.txt", ".hidden.jpg"):
        (tmp_path / name).touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / ".git").mkdir()
    assert list_images(tmp_path) == ["10.jpeg", "a.jpg", "b.PNG"]
    assert list_folders(tmp_path) == ["folder"]
    assert "cannot be listed" in user_error(lambda: list_images(tmp_path / "absent"))


def test_files_are_identified_by_their_paths_or_their_contents(tmp_path):
    for name, content in (("a.jpg", b"1"), ("b.jpg", b"1"), ("c.jpg", b"2")):
        (tmp_path / name).write_bytes(content)
    by_path = [ImageFiles(tmp_path, [name]).digest for name in ("a.jpg", "b.jpg")]
    assert by_path[0] != by_path[1]
    before = ImageFiles(tmp_path, ["a.jpg", "c.jpg"], by_content=True)
    picked = before.pick((0,))
    assert picked.by_content
    digests = before.digest, picked.digest
    (tmp_path / "c.jpg").write_bytes(b"another length")
    after = ImageFiles(tmp_path, ["a.jpg", "c.jpg"], by_content=True)
    assert (after.digest != digests[0], after.pick((0,)).digest == digests[1]) == (True, True)
    (tmp_path / "c.jpg").unlink()
    assert "cannot be read" in user_error(lambda: ImageFiles(tmp_path, ["c.jpg"], by_content=True).digest)
