"""Data sets in the format of Hugging Face's ``datasets``."""

from __future__ import annotations

import numpy as np
import pytest
from fixtures.command import run
from PIL import Image

from benchmark.config.errors import UserError
from benchmark.data.hub_dataset import hub_dataset

hub = pytest.importorskip("datasets", reason="the extra hf is not installed")


def table(count: int, start: int = 0, *, names=("red_dog", "cat"), label="label"):
    rows = range(start, start + count)
    images = [Image.new("RGB", (8, 8), (10 * row % 256, 50, 90)) for row in rows]
    features = hub.Features({"image": hub.Image(), label: hub.ClassLabel(names=list(names)), "id": hub.Value("int32")})
    content = {"image": images, label: [row % len(names) for row in rows], "id": list(rows)}
    return hub.Dataset.from_dict(content, features=features)


def saved(content, folder):
    content.save_to_disk(folder)
    return hub_dataset(f"hf:{folder}")()


def test_a_split_is_kept(tmp_path):
    parts = hub.DatasetDict({"train": table(8), "validation": table(4, 20), "test": table(6, 40)})
    splits = saved(parts, tmp_path / "set").load()
    assert splits.classes == ("red dog", "cat")
    assert [len(part) for part in (splits.train, splits.val, splits.test)] == [8, 4, 6]
    assert splits.test.labels == (0, 1, 0, 1, 0, 1)
    assert splits.test.images[1].getpixel((0, 0)) == (410 % 256, 50, 90)


def test_one_table_is_split_by_rule(tmp_path):
    table(20).save_to_disk(tmp_path / "set")
    dataset = hub_dataset(f"hf:{tmp_path / 'set'}", shares=(0.2, 0.2))()
    splits = dataset.load()
    assert [len(part) for part in (splits.train, splits.val, splits.test)] == [4, 4, 12]
    rows = [set(part.images.rows) for part in (splits.train, splits.val, splits.test)]
    assert set.union(*rows) == set(range(20))
    assert dataset.load().test.images.rows == splits.test.images.rows
    assert splits.note == "split made by rule: 20/20/60 % of each class"


def test_without_a_test_part_validation_is_for_testing(tmp_path):
    splits = saved(hub.DatasetDict({"train": table(8), "validation": table(4, 20)}), tmp_path / "set").load()
    assert (len(splits.test), splits.val) == (4, None)


def test_labels_may_be_texts(tmp_path):
    content = table(4).cast_column("label", hub.Value("string")).map(lambda row: {"label": ["b", "a"][int(row["label"])]})
    assert saved(content, tmp_path / "set").load().classes == ("a", "b")


def test_16_bits_are_scaled_to_8(tmp_path):
    deep = Image.fromarray(np.arange(64, dtype=np.uint16).reshape(8, 8) * 1040)
    deep.save(tmp_path / "deep.png")
    features = hub.Features({"image": hub.Image(), "label": hub.ClassLabel(names=["dog", "cat"])})
    content = {"image": [str(tmp_path / "deep.png")] * 2, "label": [0, 1]}
    image = saved(hub.Dataset.from_dict(content, features=features), tmp_path / "set").load().test.images[0]
    assert (image.mode, image.getpixel((0, 0)), image.getpixel((7, 7))) == ("RGB", (0, 0, 0), (255, 255, 255))
    assert image.getpixel((0, 4)) == (round(32 * 1040 / 257),) * 3


MISTAKES = {
    "numbers": (lambda: table(4).cast_column("label", hub.Value("int64")), "the labels in 'label' have no names"),
    "no images": (lambda: table(4).remove_columns("image"), "it has 0 columns with images: none"),
    "two labels": (
        lambda: table(4).add_column("other", [0] * 4).cast_column("other", hub.ClassLabel(names=["x", "y"])),
        "it has 2 columns with labels: label, other",
    ),
    "unknown parts": (lambda: hub.DatasetDict({"first": table(4)}), "its splits first are unknown"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_cannot_be_read_says_why(tmp_path, mistake):
    make, message = MISTAKES[mistake]
    with pytest.raises(UserError) as caught:
        saved(make(), tmp_path / "set").load()
    assert message in str(caught.value)
    assert "(fix: " in str(caught.value)


def test_a_name_that_is_not_in_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path))
    with pytest.raises(UserError, match="cannot be loaded"):
        hub_dataset("hf:nobody/nothing")().load()


def test_it_can_be_looked_at(tmp_path):
    """The command that says what is read of a data set."""
    table(20).save_to_disk(tmp_path / "set")
    done = run("check-data", f"hf:{tmp_path / 'set'}", f"--sheet={tmp_path}/sheet.png")
    assert done.status == 0, done.err
    assert "2 classes" in done.out
    assert "nothing looks wrong" in done.out
