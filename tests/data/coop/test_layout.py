"""Photo data sets in CoOp's folder layout: split files, missing files and downloads, on miniatures."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torchvision.datasets
from fixtures import miniature
from fixtures.photos import FACTS, PLUGINS, RULED, SIZES, dataset, parts_of, user_error

from benchmark.data.coop.layout import Counts


@pytest.mark.parametrize("name", RULED)
def test_a_split_file_is_read_in_its_order(name, with_splits):
    content = json.loads((with_splits / miniature.SPLIT_FILES[name]).read_text())
    splits = dataset(name, with_splits).load()
    for part, examples in parts_of(splits).items():
        assert [[path, label] for path, label, _ in content[part]] == [
            [path, label] for path, label in zip(examples.images.paths, examples.labels, strict=True)
        ]


def test_windows_paths_in_a_split_file(tmp_path):
    folder = miniature.build(tmp_path, "dtd")
    file = tmp_path / miniature.SPLIT_FILES["dtd"]
    before = dataset("dtd", tmp_path).load()
    file.write_text(file.read_text().replace("/", "\\\\"))
    assert "banded\\\\banded_0001.jpg" in file.read_text()
    after = dataset("dtd", tmp_path).load()
    assert after.train.images.paths == before.train.images.paths
    assert after.train.images.root == folder / "images"


@pytest.mark.parametrize("name", [*RULED, "fgvc-aircraft"])
@pytest.mark.parametrize("split_file", [True, False])
def test_a_missing_image_is_named_at_once(name, split_file, tmp_path):
    folder = miniature.build(tmp_path, name, split_file=split_file)
    splits = dataset(name, tmp_path).load()
    lost = splits.test.images.root / splits.test.images.paths[-1]
    lost.unlink()
    if not split_file and not PLUGINS[name].needs:  # folders are listed: there is one image less
        again = dataset(name, tmp_path).load()
        assert sum(len(part) for part in parts_of(again).values()) == sum(SIZES[name]) - 1
        return
    message = user_error(dataset(name, tmp_path).load)
    assert f"1 of {sum(SIZES[name])} images are missing" in message
    assert lost.name in message
    assert str(folder) in message
    assert user_error(lambda: splits.test.images[len(splits.test) - 1]).startswith(f"{lost}: no such image")


def gap(split):
    for part in split.values():
        part[:] = [[path, label + (label == 3), name] for path, label, name in part]


def without(part, label):
    def change(split):
        split[part] = [row for row in split[part] if row[1] != label]

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (gap, "labels must be 0 to 3 without gaps"),
        (without("train", 2), "class 'Herbaceous Vegetation Land' has no training image"),
        (without("test", 3), "class 'Sea or Lake' has no test image"),
        (lambda split: split["train"].clear(), "class 'Annual Crop Land' has no training image"),
        (lambda split: [part.clear() for part in split.values()], "no images in the split"),
        (lambda split: split.pop("val"), "not a split file (KeyError: 'val')"),
        (lambda split: split["val"].append(["a.jpg", "0", "x"]), "label '0'"),
        (lambda split: split["val"].append(["a.jpg", -1, "x"]), "label -1"),
        (lambda split: split["val"].append(["a.jpg", 0]), "not a split file (ValueError"),
        (lambda split: split.update(val=3), "not a split file (TypeError"),
    ],
)
def test_a_wrong_split_is_refused(change, words, tmp_path):
    miniature.build(tmp_path, "eurosat")
    file = tmp_path / miniature.SPLIT_FILES["eurosat"]
    split = json.loads(file.read_text())
    change(split)
    file.write_text(json.dumps(split))
    message = user_error(dataset("eurosat", tmp_path).load)
    assert words in message
    assert str(file) in message


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe\x00", b'{"train": {}}'])
def test_a_split_file_that_is_none(content, tmp_path):
    miniature.build(tmp_path, "food101")
    file = tmp_path / miniature.SPLIT_FILES["food101"]
    file.write_bytes(content)
    message = user_error(dataset("food101", tmp_path).load)
    assert message.startswith(f"{file}: not a split file")
    assert "remove it" in message


@pytest.mark.parametrize("name", FACTS)
def test_counts_that_are_not_the_published_ones_are_warnings(name, with_splits, monkeypatch):
    plugin = dataset(name, with_splits)
    splits = plugin.load()
    counts = dict(zip(("classes", "train", "val", "test"), (len(splits.classes), *SIZES[name]), strict=True))
    expected = [
        f"dataset {name!r} has {counts[part]} {part}{'' if part == 'classes' else ' images'}, published: {count:,}"
        for part, count in zip(counts, FACTS[name][1], strict=True)
        if count is not None
    ]
    assert list(splits.warnings) == expected
    monkeypatch.setattr(type(plugin), "counts", Counts(**counts))
    assert plugin.load().warnings == ()


# --- what is missing, and fetching it --------------------------------------------------------------------------------

FETCHED = ("caltech101", "oxford-pets", "oxford-flowers", "food101", "fgvc-aircraft", "sun397", "dtd", "eurosat")


@pytest.mark.parametrize("name", FACTS)
def test_without_a_data_root(name):
    plugin = dataset(name, None)
    missing = plugin.missing()
    assert missing
    assert (missing.what, missing.reason, missing.fetchable) == (f"dataset {name!r}", "no data root was named", False)
    assert "--data-root" in missing.how
    assert f"dataset {name!r}: no data root was named (fix: give --data-root)" == user_error(plugin.load)
    assert "--data-root" in user_error(plugin.prepare)


@pytest.mark.parametrize("name", FACTS)
def test_with_an_empty_data_root(name, tmp_path):
    plugin = dataset(name, tmp_path)
    missing = plugin.missing()
    assert missing
    assert str(tmp_path / plugin.folder) in missing.reason
    assert all(str(tmp_path / plugin.folder / each) in missing.reason for each in plugin.needs)
    assert plugin.where in missing.how
    assert missing.size == plugin.size
    assert missing.fetchable == (name in FETCHED)
    assert missing.reason in user_error(plugin.load)
    if name not in FETCHED:
        message = user_error(plugin.prepare)
        assert "cannot be fetched automatically" in message
        assert plugin.where in message
    assert not (tmp_path / plugin.folder).exists()


@pytest.mark.parametrize("name", FACTS)
@pytest.mark.parametrize("split_file", [True, False])
def test_when_all_is_there_nothing_is_missing(name, split_file, with_splits, by_rule):
    plugin = dataset(name, with_splits if split_file else by_rule)
    assert plugin.missing() is None
    plugin.prepare()  # has nothing to do


@pytest.mark.parametrize("name", [name for name in RULED if PLUGINS[name].needs])
def test_lists_are_needed_only_without_a_split_file(name, tmp_path):
    miniature.build(tmp_path, name)
    (tmp_path / miniature.SPLIT_FILES[name]).unlink()
    missing = dataset(name, tmp_path).missing()
    assert missing
    assert missing.reason == "not found: " + ", ".join(
        str(tmp_path / PLUGINS[name].folder / each) for each in PLUGINS[name].needs
    )


def test_half_of_a_data_set_is_not_enough(tmp_path):
    folder = miniature.build(tmp_path, "stanford-cars")
    shutil.rmtree(folder / "cars_test")
    missing = dataset("stanford-cars", tmp_path).missing()
    assert missing
    assert missing.reason == f"not found: {folder / 'cars_test'}"


@pytest.mark.parametrize("name", [name for name in FETCHED if name != "sun397"])
def test_what_torchvision_fetches_is_put_where_it_belongs(name, internet, tmp_path, by_rule):
    plugin = dataset(name, tmp_path)
    plugin.prepare()
    assert plugin.missing() is None
    one, two = plugin.load(), dataset(name, by_rule).load()
    assert one.classes == two.classes
    assert one.train.digest == two.train.digest
    kept = {target.split("/")[0] for target in plugin.fetch.moves.values()}
    assert {each.name for each in plugin.root.iterdir()} == kept, "nothing else is left"


def test_torchvision_leaves_the_lists_of_sun397_out(internet, tmp_path, by_rule):
    plugin = dataset("sun397", tmp_path)
    message = user_error(plugin.prepare)
    assert "was fetched, but is incomplete" in message
    assert "Training_01.txt" in message
    assert "ClassName.txt" not in message
    missing = plugin.missing()
    assert missing
    assert not missing.fetchable, "39 GB are not to be fetched a second time"
    for each in ("Training_01.txt", "Testing_01.txt"):
        shutil.copy(by_rule / "sun397" / each, plugin.root)
    assert plugin.load().classes == miniature.CLASSES["sun397"]


def test_fetching_leaves_what_is_there(internet, tmp_path):
    folder = tmp_path / "fgvc_aircraft"
    folder.mkdir()
    (folder / "variants.txt").write_text("my own\n")
    dataset("fgvc-aircraft", tmp_path).prepare()
    assert (folder / "variants.txt").read_text() == "my own\n"
    assert (folder / "images_variant_val.txt").is_file()


def test_a_download_that_fails_leaves_nothing(tmp_path, monkeypatch):
    class Broken:
        def __init__(self, root, download):
            (Path(root) / "half.zip").touch()
            raise RuntimeError("the server hung up")

    monkeypatch.setattr(torchvision.datasets, "DTD", Broken)
    plugin = dataset("dtd", tmp_path)
    message = user_error(plugin.prepare)
    assert message.startswith("dataset 'dtd' could not be fetched: the server hung up (fix: get it from https://")
    assert list(plugin.root.iterdir()) == []


def test_a_mirror_of_another_layout_is_told_how_it_can_be_read(tmp_path):
    """What is there is named, and the way that needs no other layout."""
    for name in ("Annual", "Forest", "Highway"):
        (tmp_path / "eurosat" / name).mkdir(parents=True)
    found = dataset("eurosat", tmp_path).missing()
    assert f"{tmp_path}/eurosat holds Annual, Forest, Highway" in found.reason
    assert "'folders' in the YAML" in found.how
