"""A data set that cannot be used is refused with its name; one that is odd has a warning."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmark.config.errors import UserError
from benchmark.data import task
from benchmark.data.checks import checked, counts, same_prompts, unusable_images
from benchmark.data.coop.files import ImageFiles
from benchmark.data.dataset import ArrayImages, Dataset, Examples, Splits
from benchmark.training.checks.tiny_clips import pictures


class Own(Dataset):
    name = "own"


def examples(labels, seed: int = 0) -> Examples:
    return Examples(ArrayImages(pictures([0] * len(labels), seed=seed)), tuple(labels))


GOOD = Splits(("cat", "dog"), train=examples([0, 1]), test=examples([0, 1, 1], seed=1))


def relabelled(label) -> Splits:
    return replace(GOOD, test=Examples(GOOD.test.images, (0, 1, label)))


BAD = {
    "nothing": (None, "load() returned NoneType"),
    "a tuple": ((1, 2), "load() returned tuple"),
    "no class": (replace(GOOD, classes=()), "0 classes"),
    "one class": (replace(GOOD, classes=("cat",)), "1 classes"),
    "no name": (replace(GOOD, classes=("cat", " ")), "the class name ' ' has neither"),
    "a mark": (replace(GOOD, classes=("cat", "_")), "the class name '_' has neither"),
    "a number": (replace(GOOD, classes=("cat", 3)), "the class name 3 has neither"),
    "too high": (relabelled(2), "a test image has the label 2, and labels are 0 to 1"),
    "negative": (relabelled(-1), "the label -1"),
    "float": (relabelled(0.5), "the label 0.5"),
    "no test": (replace(GOOD, test=examples([])), "there are no test images"),
    "test is None": (replace(GOOD, test=None), "the test images are NoneType"),
    "an array": (replace(GOOD, train=np.zeros(3)), "the training images are ndarray"),
    "an empty class": (replace(GOOD, train=examples([1, 1])), "class 'cat' has no training image"),
    "the same": (replace(GOOD, train=GOOD.test), "the test images are the training images"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_used_is_refused_with_its_name(case):
    splits, words = BAD[case]
    with pytest.raises(UserError) as caught:
        checked(Own(), splits)
    assert words in str(caught.value)
    assert "dataset 'own'" in str(caught.value)
    assert caught.value.fix


def test_what_can_be_used_is_returned():
    assert checked(Own(), GOOD) is GOOD
    numpy_labels = replace(GOOD, test=Examples(GOOD.test.images, tuple(np.array([0, 1, 1]))))
    assert checked(Own(), numpy_labels) is numpy_labels


def test_without_training_images_it_can_be_tested_on_and_not_trained_on():
    """For a module that exists already; the plan of a run refuses it."""
    untrained = checked(Own(), replace(GOOD, train=None))
    assert len(task.test_task(Own(), untrained).tests[0].examples) == 3
    with pytest.raises(UserError, match="dataset 'own' has no training images"):
        task.make_task(Own(), untrained, task.TaskId("own", task.FEW_SHOT, 1, 1))


def test_classes_of_one_prompt_are_named(backbones):
    names = ("sea_lion", "Sea  lion", "dog", "cat", "dog")
    tokens = backbones["native"].tokenize([f"a photo of a {name.replace('_', ' ')}." for name in names]).ids.tolist()
    found = list(same_prompts(names, tokens))
    assert len(found) == 2
    assert "'sea_lion' and 'Sea  lion'" in found[0]
    assert "2 classes called 'dog'" in found[1]


def test_counts_are_by_class_and_part():
    assert counts(GOOD) == {"cat": (1, 0, 1), "dog": (1, 0, 2)}


def test_files_are_looked_at_once_and_arrays_not_at_all(tmp_path, monkeypatch):
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"")
    images, looked = ImageFiles(tmp_path, ["a.png", "b.png"]), []
    part = Examples(images, (0, 1))
    monkeypatch.setattr(ImageFiles, "problems", lambda self: looked.append(self.paths) or ["x: empty"])
    assert unusable_images([part, GOOD.test, part]) == ["x: empty"]
    assert looked == [("a.png", "b.png")]
