"""Images without labels: which folders are such, and what is made of them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from benchmark.config.errors import UserError
from benchmark.data.coop.unlabelled import is_unlabelled, unlabelled_task


@pytest.fixture
def folder(tmp_path):
    for number in range(3):
        pixels = np.full((8, 8, 3), 40 * number, dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    return tmp_path


def test_a_folder_of_images_alone_has_no_labels(folder):
    assert is_unlabelled(folder)
    (folder / "notes.txt").write_text("x")
    assert is_unlabelled(folder)
    (folder / "cat").mkdir()
    assert not is_unlabelled(folder)
    assert not is_unlabelled(folder / "0.png")


def test_a_folder_without_images_is_none(tmp_path):
    assert not is_unlabelled(tmp_path)


def test_its_task(folder):
    task = unlabelled_task(folder, ("cat", "dog"), "a photo of a {}.", "a photo of a")
    (test,) = task.tests
    assert (len(test.examples), test.classes, len(task.train), len(task.val)) == (3, ("cat", "dog"), 0, 0)
    assert test.examples.images.paths == ("0.png", "1.png", "2.png")


@pytest.mark.parametrize("classes", [(), ("cat",)])
def test_classes_are_needed(folder, classes):
    with pytest.raises(UserError, match=r"the classes are not known \(fix: name them with --classes"):
        unlabelled_task(folder, classes, "a {}.", "a")


def test_a_broken_image_is_named(folder):
    (folder / "1.png").write_bytes(b"<html>")
    with pytest.raises(UserError, match=r"1 images? cannot be used: .*1\.png"):
        unlabelled_task(folder, ("cat", "dog"), "a {}.", "a")
