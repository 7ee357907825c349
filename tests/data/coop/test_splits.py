"""Splits by CoOp's rules, and few-shot draws from them."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections import Counter
from pathlib import Path

import pytest
from fixtures import miniature
from fixtures.photos import PLUGINS, RULED, TRAINED, dataset, user_error

from benchmark.data.coop import splits
from benchmark.data.coop.layout import Item
from benchmark.data.task import BASE_TO_NEW, DOMAIN, TaskId, make_task


def test_the_rules_round_as_python_does():
    """Each class on its own: 5 images are 2, 1 and 2; 11 are 6, 2 and 3; 13 held out by a fifth are 10 and 3."""
    items = [Item(f"{label}/{number}", label, "x") for label, count in ((3, 5), (1, 11)) for number in range(count)]
    split = splits.split_classes(items)
    assert [Counter(item.label for item in part) for part in (split.train, split.val, split.test)] == [
        {3: 2, 1: 6},
        {3: 1, 1: 2},
        {3: 2, 1: 3},
    ]
    assert [item.label for item in split.train] == [3] * 2 + [1] * 6, "classes by first appearance"
    held = splits.hold_out([Item(str(number), 0, "x") for number in range(13)], ())
    assert (len(held.train), len(held.val)) == (10, 3)
    assert [item.path for item in held.val] != sorted(item.path for item in held.val), "shuffled"


@pytest.mark.parametrize("name", ["caltech101", "food101", "dtd", "eurosat"])
def test_folders_without_images(name, tmp_path):
    folder = miniature.build(tmp_path, name, split_file=False) / PLUGINS[name].image_folder
    (folder / "an_empty_one").mkdir()
    assert f"{folder / 'an_empty_one'}: a class without images" in user_error(dataset(name, tmp_path).load)
    shutil.rmtree(folder)
    folder.mkdir()
    assert f"{folder}: no folder with images" in user_error(dataset(name, tmp_path).load)


def listed(name: str, root: Path) -> dict[str, list[tuple[str, int]]]:
    """The train and val lists, read again without the plugins."""
    if name in RULED:
        content = json.loads((root / miniature.SPLIT_FILES[name]).read_text())
        return {part: [(path, label) for path, label, _ in content[part]] for part in ("train", "val")}
    if name == "fgvc-aircraft":
        variants = (root / "fgvc_aircraft/variants.txt").read_text().split("\n")
        lines = {
            part: (root / f"fgvc_aircraft/images_variant_{part}.txt").read_text().splitlines() for part in ("train", "val")
        }
        return {part: [(f"{line[:7]}.jpg", variants.index(line[8:])) for line in content] for part, content in lines.items()}
    train = root / "imagenet/images/train"
    folders = sorted(os.listdir(train))
    files = [
        (f"train/{folder}/{file}", folders.index(folder))
        for folder in folders
        for file in sorted(os.listdir(train / folder))
    ]
    return {"train": files, "val": []}


def drawn(items: list[tuple[str, int]], count: int) -> list[str]:
    """Dassl's rule, from Python's global stream."""
    classes: dict[int, list[str]] = {}
    for path, label in items:
        classes.setdefault(label, []).append(path)
    chosen: list[str] = []
    for paths in classes.values():
        chosen.extend(random.sample(paths, count) if len(paths) >= count else paths)
    return chosen


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("name", TRAINED)
def test_the_few_shots_are_those_of_dassl(name, seed, with_splits):
    plugin = dataset(name, with_splits)
    splits, lists, state = plugin.load(), listed(name, with_splits), random.getstate()
    for shots in (1, 4, 16):
        random.seed(seed)
        train = drawn(lists["train"], shots)
        val = drawn(lists["val"], min(shots, 4))
        task = make_task(plugin, splits, TaskId(name, DOMAIN, shots, seed))
        assert list(task.train.images.paths) == train
        assert list(task.val.images.paths) == val
        half = make_task(plugin, splits, TaskId(name, BASE_TO_NEW, shots, seed))
        base, labels = len(half.classes), dict(lists["train"])
        assert list(half.train.images.paths) == [path for path in train if labels[path] < base]
    random.setstate(state)


def test_an_odd_number_of_classes_gives_base_one_more(tmp_path):
    miniature.build(tmp_path, "oxford-pets")
    rows = [["Bengal_1.jpg", label, f"breed_{label:02d}"] for label in range(37)]
    tests = [["Bengal_2.jpg", *row[1:]] for row in rows]
    (tmp_path / miniature.SPLIT_FILES["oxford-pets"]).write_text(json.dumps({"train": rows, "val": [], "test": tests}))
    plugin = dataset("oxford-pets", tmp_path)
    task = make_task(plugin, plugin.load(), TaskId("oxford-pets", BASE_TO_NEW, 4, 1))
    base, new = task.tests
    assert (len(base.classes), len(new.classes)) == (19, 18)
    assert (base.classes[-1], new.classes[0]) == ("breed_18", "breed_19")
    assert sorted(new.examples.labels) == list(range(18))
    assert len(task.val) == 0
