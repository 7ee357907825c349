"""Near-duplicate search, checked by hand."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from benchmark.data import duplicates
from benchmark.data.coop.files import ImageFiles
from benchmark.data.dataset import ArrayImages, Examples
from benchmark.data.duplicates import Duplicates, Place, find_duplicates, fingerprints, merge


def test_merging_is_transitive():
    assert merge(["a", "b", "c", "a", "d"], iter([(1, 2), (2, 3)])) == [0, 0, 0, 0, 1]
    assert merge([1, 2, 3], iter([])) == [0, 1, 2]


def test_similarity_by_hand():
    """Centred cosine of pictures halved in size: 1 with itself and with a brighter copy, -1 with its negative."""
    one = np.random.default_rng(0).integers(20, 100, (1, 32, 32)).astype(np.uint8)
    prints = fingerprints(np.concatenate([one, one * 2, 255 - one, np.zeros_like(one)]))
    assert prints.shape == (4, 256)
    assert (prints @ prints[0]).tolist() == pytest.approx([1, 1, -1, 0], abs=1e-4)


def photo(seed: int) -> np.ndarray:
    small = np.random.default_rng(seed).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    return np.asarray(Image.fromarray(small).resize((96, 96), Image.Resampling.BICUBIC))


def compressed(pixels: np.ndarray) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=60)
    return np.asarray(Image.open(buffer))


def test_copies_are_found_across_parts_and_others_are_not():
    one, other, third = photo(1), photo(2), photo(3)
    train = Examples(ArrayImages(np.stack([one, other, third])), (0, 1, 1))
    test = Examples(ArrayImages(np.stack([photo(4), one, compressed(other)])), (0, 0, 1))
    found = find_duplicates({"train": train, "test": test})
    assert found.identical == [[Place("train", 0, 0), Place("test", 1, 0)]]
    assert found.similar == [[Place("train", 1, 1), Place("test", 2, 1)]]


def test_too_many_images_are_not_compared(monkeypatch):
    monkeypatch.setattr(duplicates, "LARGEST", 2)
    part = Examples(ArrayImages(np.stack([photo(1), photo(2), photo(3), photo(1)])), (0, 1, 1, 0))
    found = find_duplicates({"test": part})
    assert found.identical == [[Place("test", 0, 0), Place("test", 3, 0)]]
    assert found.similar is None


def test_no_image_can_be_read(tmp_path):
    part = Examples(ImageFiles(tmp_path, ["absent.png"]), (0,))
    assert find_duplicates({"test": part}) == Duplicates([], [])
