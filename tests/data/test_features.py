"""Banks of features: their content, and the cache on disk."""

from __future__ import annotations

import errno
import os

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import save_file

from benchmark.config.errors import UserError
from benchmark.data import features
from benchmark.data.cache import load_array, save_array
from benchmark.data.dataset import ArrayImages, Augmentation, Examples
from benchmark.data.features import Bank, FeatureStore
from benchmark.data.views import allocate
from benchmark.training.checks.tiny_clips import pictures

HOW = Augmentation(crop=(0.5, 1.0), flip=True, rotate=10)


@pytest.fixture
def counted(backbones, monkeypatch):
    """The native backbone, and how many batches went through its image tower."""
    backbone, calls = backbones["native"], []
    real = backbone.encode_image
    monkeypatch.setattr(backbone, "encode_image", lambda pixels: calls.append(len(pixels)) or real(pixels))
    return backbone, calls


def test_plain_view_is_the_evaluation_transform(backbone, examples):
    expected = torch.stack([backbone.preprocess(examples.images[row]) for row in range(len(examples))])
    store, rows, plain = FeatureStore(None), torch.arange(len(examples)), torch.zeros(len(examples), dtype=torch.long)
    assert torch.equal(store.testing(backbone, examples, pixels=True).batch(rows, plain).pixels, expected)
    with torch.no_grad():
        assert torch.equal(store.testing(backbone, examples, pixels=False).views[0], backbone.encode_image(expected))
    one = store.training(backbone, examples, HOW, 1, pixels=True)
    assert torch.equal(one.batch(rows, plain).pixels, expected)  # one view is the plain image


def test_views_differ_and_are_the_same_every_time(backbones, examples):
    first, again = (FeatureStore(None).training(backbones["native"], examples, HOW, 4, pixels=True).views for _ in range(2))
    assert first.shape == (4, 12, 3, 32, 32)
    assert torch.equal(first, again)
    plain = FeatureStore(None).testing(backbones["native"], examples, pixels=True).views
    views = torch.cat([plain, first])
    for row in range(12):
        for one in range(5):
            for other in range(one):
                assert not torch.equal(views[one, row], views[other, row])


def test_making_views_leaves_the_random_state_alone(backbones, examples):
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    FeatureStore(None).training(backbones["native"], examples, HOW, 2, pixels=True)
    assert torch.equal(torch.rand(2), expected)


def test_features_of_a_batch_are_those_of_its_rows_and_views():
    views = torch.arange(24.0).view(2, 4, 3)
    bank = Bank(views, torch.tensor([5, 6, 7, 8]))
    batch = bank.batch(torch.tensor([3, 0]), torch.tensor([0, 1]))
    assert batch.labels.tolist() == [8, 5]
    assert batch.features.tolist() == [views[0, 3].tolist(), views[1, 0].tolist()]
    assert batch.pixels is None


def test_chunks_do_not_change_features(backbones, monkeypatch):
    labels = (0,) * 11
    many = Examples(ArrayImages(pictures(labels, seed=3)), labels)
    whole = FeatureStore(None).testing(backbones["native"], many, pixels=False).views
    monkeypatch.setattr(features, "CHUNK", 4)
    torch.testing.assert_close(
        FeatureStore(None).testing(backbones["native"], many, pixels=False).views, whole, atol=1e-4, rtol=1e-4
    )


# --- the cache ----------------------------------------------------------------------------------------------------


def test_memory_and_disk_are_used(counted, examples, tmp_path):
    backbone, calls = counted
    store = FeatureStore(tmp_path)
    first = store.testing(backbone, examples, pixels=False).views
    store.testing(backbone, examples, pixels=False)
    assert len(calls) == 1
    again = FeatureStore(tmp_path).testing(backbone, examples, pixels=False).views
    assert len(calls) == 1
    assert torch.equal(first, again)
    assert len(list(tmp_path.iterdir())) == 1


def test_another_backbone_view_image_or_augmentation_is_another_entry(backbones, examples, tmp_path):
    store = FeatureStore(tmp_path)
    store.testing(backbones["native"], examples, pixels=False)
    store.testing(backbones["eva"], examples, pixels=False)
    store.training(backbones["native"], examples, HOW, 2, pixels=False)
    store.training(backbones["native"], examples, Augmentation(), 2, pixels=False)
    store.testing(backbones["native"], examples.pick(range(6)), pixels=False)
    assert len(list(tmp_path.glob("*.safetensors"))) == 5


def test_labels_are_not_part_of_the_cache(counted, examples, tmp_path):
    backbone, calls = counted
    store = FeatureStore(tmp_path)
    store.testing(backbone, examples, pixels=False)
    other = examples.pick(range(12), [0] * 12)
    bank = store.testing(backbone, Examples(examples.images, other.labels), pixels=False)
    assert bank.labels.tolist() == [0] * 12
    assert len(calls) == 1


@pytest.mark.parametrize("damage", ["torn", "empty", "text", "shape", "dtype", "byte", "other"])
def test_a_bad_cache_file_is_computed_again(counted, examples, tmp_path, damage):
    backbone, calls = counted
    right = FeatureStore(tmp_path).testing(backbone, examples, pixels=False).views
    (file,) = tmp_path.glob("*.safetensors")
    if damage == "torn":
        file.write_bytes(file.read_bytes()[:-100])
    elif damage in ("empty", "text"):
        file.write_bytes(b"" if damage == "empty" else b"hello")
    else:
        array = load_array(file)
        if damage in ("shape", "dtype"):
            save_array(file, array[:5] if damage == "shape" else array.astype(np.float64))
        else:
            with safe_open(file, framework="np") as stored:
                metadata = stored.metadata()
            array[3, 2] += 1e-3 if damage == "byte" else 0
            save_file({"others" if damage == "other" else "array": array}, file, metadata)
    assert torch.equal(FeatureStore(tmp_path).testing(backbone, examples, pixels=False).views, right)
    assert len(calls) == 2
    FeatureStore(tmp_path).testing(backbone, examples, pixels=False)
    assert len(calls) == 2  # and the file is written again


def test_a_cache_that_cannot_be_written_costs_time_only(counted, examples, tmp_path):
    backbone, _ = counted
    (tmp_path / "file").write_text("")
    bank = FeatureStore(tmp_path / "file" / "cache").testing(backbone, examples, pixels=False)
    assert torch.isfinite(bank.views).all()


def test_memory_is_bounded(backbones, examples):
    picture = 3 * backbones["native"].image_size ** 2
    store = FeatureStore(None, keep=8 * picture)
    for count in (2, 3, 4, 5):
        store.testing(backbones["native"], examples.pick(range(count)), pixels=True)
    assert [len(kept) for kept in store._kept.values()] == [5]
    store.testing(backbones["native"], examples.pick(range(3)), pixels=True)
    assert [len(kept) for kept in store._kept.values()] == [5, 3]
    store.testing(backbones["native"], examples.pick(range(9)), pixels=True)
    assert [len(kept) for kept in store._kept.values()] == [9], "the latest stays, whatever its size"


@pytest.mark.parametrize("pixels", [True, False])
def test_a_file_of_pixels_changes_nothing(pixels, photos, backbones, tmp_path, monkeypatch):
    store = FeatureStore(None)
    usual = store.training(backbones["native"], photos, HOW, 3, pixels=pixels).views
    monkeypatch.setattr(features, "IN_MEMORY", 1000)
    made = []
    monkeypatch.setattr(features, "allocate", lambda *args: made.append(allocate(*args)) or made[-1])
    bank = FeatureStore(tmp_path / "cache", threads=4).training(backbones["native"], photos, HOW, 3, pixels=pixels)
    assert [is_file for _, is_file in made] == ([True] if pixels else [])  # features are made without keeping pixels
    torch.testing.assert_close(bank.views, usual, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", ["full", "refused"])
def test_no_room_for_pixels_is_told_in_one_line(kind, photos, backbones, tmp_path, monkeypatch):
    def full(descriptor: int, start: int, size: int) -> None:
        assert (start, size) == (0, 13 * 3 * 32 * 32)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    folder = tmp_path / "cache"
    if kind == "full":
        monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    else:
        folder.write_text("a file where the folder should be")
    monkeypatch.setattr(features, "IN_MEMORY", 1000)
    with pytest.raises(UserError) as caught:
        FeatureStore(folder).testing(backbones["native"], photos, pixels=True)
    line = str(caught.value)
    assert line.startswith(f"no room for 0.0 GB for decoded images in {folder}: ")
    assert os.strerror(errno.ENOSPC if kind == "full" else errno.EEXIST) in line
    assert "(fix: free some, or name another folder in TMPDIR)" in line
    assert kind == "refused" or list(folder.iterdir()) == []


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("pixels", [True, False])
@pytest.mark.parametrize("damage", ["cut", "text", "gone"])
def test_an_unreadable_image_is_named(damage, pixels, threads, photos, backbones, monkeypatch):
    file = photos.images.root / photos.images.paths[7]
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2] if damage == "cut" else b"no image")
    if damage == "gone":
        file.unlink()
    if not pixels:
        monkeypatch.setattr(features, "IN_MEMORY", 0)  # one chunk after the other
    with pytest.raises(UserError) as caught:
        FeatureStore(None, threads=threads).testing(backbones["native"], photos, pixels=pixels)
    assert str(caught.value).startswith(f"{file}: ")
    assert ("no such image" if damage == "gone" else "not a readable image") in str(caught.value)
    assert "\n" not in str(caught.value)
