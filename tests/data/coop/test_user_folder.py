"""A user's folder of images: three layouts, what the YAML may say, and one-line messages for mistakes."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from fixtures.folders import (
    BACKBONES,
    CLASSES,
    LAYOUTS,
    described,
    draw,
    flat,
    pairs_file,
    parts,
    picture,
    refusal,
    write_csv,
)
from safetensors import safe_open

from benchmark.config import loader, schema
from benchmark.data.dataset import Augmentation
from benchmark.data.features import FeatureStore
from benchmark.data.task import BASE_TO_NEW, DOMAIN, TaskId, make_task
from benchmark.method import registry

# --- layouts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_has_the_right_images_under_the_right_labels(layout, tmp_path):
    splits = described(LAYOUTS[layout](tmp_path / "data")).load()
    assert splits.classes == CLASSES
    seen = []
    for part, count in ((splits.train, 5), (splits.val, 2), (splits.test, 3)):
        assert [part.labels.count(label) for label in range(4)] == [count] * 4
        for row, label in enumerate(part.labels):
            number = int(Path(part.images.paths[row]).stem[-2:])
            assert np.array_equal(np.asarray(part.images[row]), picture(CLASSES[label], number))
            seen.append((label, number))
    assert len(set(seen)) == len(seen) == 40, "no image in two parts"
    if layout != "flat":
        assert {number for label, number in seen[:20]} == set(range(5)), "the user's split, not ours"
    assert ("by rule" in splits.note) == (layout == "flat")
    assert not splits.warnings


def test_a_split_by_rule_is_the_same_everywhere(tmp_path):
    first = described(flat(tmp_path / "one")).load()
    shutil.copytree(tmp_path / "one", tmp_path / "elsewhere" / "two")
    again = described(tmp_path / "elsewhere" / "two").load()
    for part in ("train", "val", "test"):
        assert getattr(first, part).images.paths == getattr(again, part).images.paths
        assert getattr(first, part).digest == getattr(again, part).digest


def test_csv_without_splits_is_split_by_rule(tmp_path):
    rows = [(f"{label}{number}.png", label) for label in ("cat", "boat") for number in range(10)]
    splits = described(write_csv(tmp_path, *rows, header=("path", "label"))).load()
    assert (len(splits.train), len(splits.val), len(splits.test)) == (10, 4, 6)
    assert "by rule" in splits.note


def test_val_may_be_absent(tmp_path):
    shutil.rmtree(parts(tmp_path / "data") / "val")
    splits = described(tmp_path / "data").load()
    assert splits.val is None
    assert (len(splits.train), len(splits.test)) == (20, 12)


def test_csv_as_spreadsheets_write_it(tmp_path):
    """A mark at its start, Windows' slashes and line ends, spaces, blank lines, labels that are numbers, another suffix."""
    file = write_csv(tmp_path / "sub")
    lines = ["path;label;split", r" sub\boat0.png ; 10 ; train", "", r"sub\boat1.png;10;test"]
    lines += [f"{tmp_path}/sub/cat0.png;9;train", "./sub/cat1.png;9;test", ""]
    file = tmp_path / "list.txt"
    file.write_bytes(("\ufeff" + "\r\n".join(lines).replace(";", ",")).encode())
    splits = described(file, class_names={"9": "cat", "10": "boat"}).load()
    assert splits.classes == ("boat", "cat")
    assert [np.asarray(image).tobytes() for image in (splits.test.images[0], splits.train.images[1])] == [
        picture("boat", 1).tobytes(),
        picture("cat", 0).tobytes(),
    ]


# --- what the YAML may say -----------------------------------------------------------------------------------------


def test_names_and_base_classes(tmp_path):
    data = described(flat(tmp_path), class_names={"dog": "red dog", "boat": "old_boat"}, base=["house", "dog", "boat"])
    splits = data.load()
    assert splits.classes == ("house", "red dog", "old_boat", "cat")
    for row, label in enumerate(splits.test.labels):
        assert splits.test.images.paths[row].startswith(("house/", "dog/", "boat/", "cat/")[label])


@pytest.mark.parametrize(
    ("keys", "base", "new"),
    [
        ({}, ("boat", "cat"), ("dog", "house")),
        ({"base": ["house", "cat"]}, ("house", "cat"), ("boat", "dog")),
        ({"base": ["dog", "cat"], "class_names": {"dog": "x"}}, ("x", "cat"), ("boat", "house")),
    ],
)
def test_base_to_new(keys, base, new, tmp_path):
    data = described(flat(tmp_path), **keys)
    task = make_task(data, data.load(), TaskId("mine", BASE_TO_NEW, 16, 1))
    assert task.classes == base
    assert [test.classes for test in task.tests] == [base, new]
    folders = {
        name: next(label for label in CLASSES if keys.get("class_names", {}).get(label, label) == name) for name in base
    }
    assert {Path(path).parent.name for path in task.train.images.paths} == set(folders.values())


@pytest.mark.parametrize("base", [["cat"], ["cat", "dog", "boat"], ["cat", "dog", "boat", "house"]])
def test_a_group_of_one_class_is_refused(base, tmp_path):
    data = described(flat(tmp_path), base=base)
    line = refusal(lambda: make_task(data, data.load(), TaskId("mine", BASE_TO_NEW, 2, 1)))
    assert "too few classes" in line
    make_task(data, data.load(), TaskId("mine", DOMAIN, 2, 1))


def test_everything_else_that_a_data_set_file_would_say(tmp_path):
    keys = {"title": "Mine", "template": "one {}.", "context_words": "one", "shots": 3, "licence": "CC0-1.0"}
    data = described(flat(tmp_path), crop=[0.5, 1], flip=False, **keys)
    assert (data.name, data.title, data.template, data.context_words) == ("mine", "Mine", "one {}.", "one")
    assert (data.licence, data.augmentation) == ("CC0-1.0", Augmentation((0.5, 1.0), False))
    assert str(tmp_path) in data.source
    task = make_task(data, data.load(), TaskId("mine", DOMAIN, 16, 1))
    assert (task.shots, len(task.train)) == (3, 12)
    plain = described(tmp_path, crop=None)
    assert (plain.title, plain.augmentation, plain.base_classes) == ("mine", Augmentation(None, True), None)


def test_paths_are_relative_to_the_file(tmp_path, monkeypatch):
    (tmp_path / "yaml").mkdir()
    file = tmp_path / "yaml" / "pairs.yaml"
    folders = {"a": {"path": "../data"}, "b": {"path": "~/data"}, "c": {"path": "/data/x.csv"}}
    file.write_text(yaml.safe_dump({"backbones": BACKBONES, "upgrades": [{"old": "b", "new": "b"}], "folders": folders}))
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.chdir("/")
    paths = {name: folder.path for name, folder in loader.load(file).folders.items()}
    assert paths == {"a": str(tmp_path.resolve() / "data"), "b": "/home/somebody/data", "c": "/data/x.csv"}


def test_it_is_chosen_like_any_other(tmp_path, world):
    folder = world.root / "datasets"
    datasets = registry.datasets_in(folder, own={"my-photos": schema.FolderSpec(path=str(flat(tmp_path)))})
    assert "my-photos" in datasets.select(["all"])
    assert datasets.select(["my-*"]) == ["my-photos"]
    assert len(datasets["my-photos"].cls(None).load().test) == 12  # without a data root
    line = refusal(lambda: registry.datasets_in(folder, own={"toy": schema.FolderSpec(path="/x")}))
    assert "'toy' is the name of another dataset" in line


# --- which image is which --------------------------------------------------------------------------------------------


def test_features_are_never_those_of_another_folder_with_the_same_names(tmp_path, backbones):
    store, kept = FeatureStore(tmp_path / "cache"), []
    for name in ("one", "two"):
        for label in CLASSES:
            for number in range(4):
                draw(tmp_path / name / label / f"{number}.png", label, number + 10 * (name == "two"))
        examples = described(tmp_path / name).load().test
        kept.append(store.testing(backbones["native"], examples, pixels=False).views)
        pixels = torch.stack([backbones["native"].preprocess(examples.images[row]) for row in range(len(examples))])
        torch.testing.assert_close(kept[-1][0], backbones["native"].encode_image(pixels), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(kept[0], kept[1], atol=1e-2)


def test_an_image_that_was_replaced_is_another_image(tmp_path):
    """Even under its old name, size and place in the list."""
    for label in ("boat", "cat"):
        for number in range(4):
            draw(tmp_path / label / f"{number}.bmp", label, number)
    before = described(tmp_path).load()
    digests = before.test.digest, before.train.digest
    changed = tmp_path / before.test.images.paths[0]
    size, times = changed.stat().st_size, changed.stat().st_mtime_ns
    draw(changed, "dog", 77)
    os.utime(changed, ns=(times + 10**9, times + 10**9))
    assert changed.stat().st_size == size
    after = described(tmp_path).load()
    assert after.test.digest != digests[0]
    assert after.train.digest == digests[1]


# --- a whole run -----------------------------------------------------------------------------------------------------


def test_a_run_on_a_folder(cli, tmp_path, backbone_folders):
    """From YAML alone: base-to-new on named base classes, from the command line to the tables and the report."""
    flat(tmp_path / "data")
    folder = {"path": "data", "title": "My <own> pictures", "licence": "CC0-1.0", "template": "an icon of a {}."}
    folder |= {"base": ["house", "cat"], "class_names": {"house": "red house"}}
    file = pairs_file(tmp_path, backbone_folders, {"mine": folder}, datasets=["mine"], methods=["zero-shot", "coop"])
    out = tmp_path / "results"
    options = [f"--upgrade-pairs={file}", "--device=cpu", "--workers=0", "--set=coop.steps=2"]
    done = cli(*options, f"--out={out}", f"--report={out}/report.html")
    assert done.status == 0, done.err
    table = pd.read_csv(out / "results.csv", keep_default_na=False)
    assert set(table.dataset) == {"mine"}
    assert set(table.status) == {"ok"}
    accuracies = table[table.metric == "accuracy"]
    assert {(row.split, row.n) for row in accuracies.itertuples()} == {("base", 6), ("new", 6), ("H", 12)}
    assert set(accuracies.strategy) == {"old", "reuse", "retrain"}
    headers = [safe_open(file, framework="pt").metadata() for file in out.glob("cells/*/*/module.safetensors")]
    records = [json.loads(text) for header in headers for text in header.values()]
    assert {tuple(record["classes"]) for record in records} == {("red house", "cat")}
    assert {record["template"] for record in records} == {"an icon of a {}."}
    page = (out / "report.html").read_text()
    assert "My &lt;own&gt; pictures" in page
    assert "split made by rule: 50/20/30 % of each class" in page
    assert f"the user&#39;s own: {tmp_path.resolve()}/data" in page
