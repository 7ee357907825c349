"""ImageNet and its shifted test sets."""

from __future__ import annotations

import os
import shutil

import pytest
from fixtures import miniature
from fixtures.photos import PLUGINS, SHIFTED, dataset, touch, user_error
from open_clip import IMAGENET_CLASSNAMES


def test_two_classes_of_one_name_stay_two(with_splits):
    splits = dataset("imagenet", with_splits).load()
    assert [label for label, name in enumerate(splits.classes) if name == "missile"] == [8, 9]
    assert {
        path.split("/")[1] for path, label in zip(splits.test.images.paths, splits.test.labels, strict=True) if label == 9
    } == {"n04008634"}


def test_folders_named_by_numbers_sort_as_numbers(with_splits):
    splits = dataset("imagenet-v2", with_splits).load()
    assert all(
        int(path.split("/")[0]) == label for path, label in zip(splits.test.images.paths, splits.test.labels, strict=True)
    )
    assert splits.test.labels == tuple(sorted(splits.test.labels))


def test_imagenet_is_listed_without_asking_about_each_file(with_splits, monkeypatch):
    asked = []
    stat = os.stat
    monkeypatch.setattr(os, "stat", lambda path, *args, **kwargs: asked.append(path) or stat(path, *args, **kwargs))
    dataset("imagenet", with_splits).load()
    folders = {folder for folder in asked if str(folder).rsplit("/", 2)[-2] in ("train", "val")}
    assert 0 < len(asked) < 12 + len(folders)


@pytest.mark.parametrize("name", ["imagenet-v2", "imagenet-sketch", "imagenet-a", "imagenet-r"])
def test_names_come_from_imagenets_own_list_too(name, tmp_path):
    folder = miniature.build(tmp_path, name)
    (tmp_path / "imagenet").mkdir()
    (folder / "classnames.txt").rename(tmp_path / "imagenet" / "classnames.txt")
    splits = dataset(name, tmp_path).load()
    assert splits.classes == miniature.CLASSES[name]
    assert splits.note == "class names of classnames.txt"


WNIDS = [f"n{10_000_000 + 17 * number:08d}" for number in range(1000)]


def test_names_of_open_clip_where_no_list_is(tmp_path):
    for part in ("train", "val"):
        touch(tmp_path / "imagenet/images" / part, WNIDS)
    touch(tmp_path / "imagenetv2/imagenetv2-matched-frequency-format-val", map(str, range(1000)))
    for name in ("imagenet", "imagenet-v2"):
        splits = dataset(name, tmp_path).load()
        assert splits.classes == tuple(IMAGENET_CLASSNAMES)
        assert splits.test.labels == tuple(range(1000))
        assert splits.note == "class names of open_clip"
    assert splits.test.images.paths[10] == "10/a.JPEG"


@pytest.mark.parametrize(
    ("name", "folder", "first"),
    [
        ("imagenet-a", "imagenet-adversarial/imagenet-a", ("stingray", "goldfinch", "junco", "American robin", "jay")),
        (
            "imagenet-r",
            "imagenet-rendition/imagenet-r",
            ("goldfish", "great white shark", "hammerhead shark", "stingray", "hen"),
        ),
    ],
)
def test_the_two_hundred_classes_among_the_thousand(name, folder, first, tmp_path):
    rows = PLUGINS[name].rows
    assert len(rows) == len(set(rows)) == 200
    assert list(rows) == sorted(rows)
    touch(tmp_path / folder, [WNIDS[row] for row in rows])
    classes = dataset(name, tmp_path).load().classes
    assert classes == tuple(IMAGENET_CLASSNAMES[row] for row in rows)
    assert (classes[:5], classes[-1]) == (first, "acorn")


def test_the_two_subsets_share_86_classes():
    assert len({*PLUGINS["imagenet-a"].rows} & {*PLUGINS["imagenet-r"].rows}) == 86


@pytest.mark.parametrize("name", ["imagenet", "imagenet-v2", "imagenet-sketch", "imagenet-a", "imagenet-r"])
def test_no_names_for_another_number_of_folders(name, tmp_path):
    (miniature.build(tmp_path, name) / "classnames.txt").unlink()
    message = user_error(dataset(name, tmp_path).load)
    assert ("folders must be named 0 to 999" if name == "imagenet-v2" else "no classnames.txt to name them") in message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"n01440764 tench\nn01443537\n", "line 2: cannot be parsed: 'n01443537'"),
        (b"n01440764 tench\n", "no name for the folder n01443537"),
        (b"n01440764 tench\nn01440764 goldfish\n", "an id occurs twice"),
        (b"\xff", "cannot be read"),
    ],
)
def test_a_wrong_list_of_names(content, words, tmp_path):
    file = miniature.build(tmp_path, "imagenet") / "classnames.txt"
    file.write_bytes(content)
    message = user_error(dataset("imagenet", tmp_path).load)
    assert words in message
    assert str(file) in message


def test_validation_images_that_were_never_sorted_into_folders(tmp_path):
    val = miniature.build(tmp_path, "imagenet") / "images" / "val"
    shutil.rmtree(val)
    val.mkdir()
    (val / "ILSVRC2012_val_00000001.JPEG").touch()
    assert f"{val}: no class folders (fix: sort the images" in user_error(dataset("imagenet", tmp_path).load)


@pytest.mark.parametrize("part", ["train", "val"])
def test_train_and_val_must_have_the_same_classes(part, tmp_path):
    folder = miniature.build(tmp_path, "imagenet") / "images" / part
    shutil.rmtree(folder / "n01496331")
    message = user_error(dataset("imagenet", tmp_path).load)
    assert "1 class folders are not in both, such as n01496331" in message


@pytest.mark.parametrize("name", ["imagenet", *SHIFTED])
def test_an_empty_class_folder(name, tmp_path):
    miniature.build(tmp_path, name)
    splits = dataset(name, tmp_path).load()
    empty = (splits.test.images.root / splits.test.images.paths[-1]).parent
    for file in empty.iterdir():
        file.unlink()
    assert f"{empty}: a class without images" in user_error(dataset(name, tmp_path).load)


def test_a_number_without_a_folder(tmp_path):
    folder = miniature.build(tmp_path, "imagenet-v2") / "imagenetv2-matched-frequency-format-val"
    shutil.rmtree(folder / "4")
    assert f"{folder}: folders must be named 0 to 11" in user_error(dataset("imagenet-v2", tmp_path).load)
