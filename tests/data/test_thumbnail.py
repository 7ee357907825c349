"""Small pictures: their size, their content, and what cannot be read."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from benchmark.data import thumbnail
from benchmark.data.coop.files import ImageFiles
from benchmark.data.dataset import ArrayImages


def noise(height: int, width: int) -> ArrayImages:
    return ArrayImages(np.random.default_rng(0).integers(0, 256, (2, height, width, 3), dtype=np.uint8))


def content(address: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))


@pytest.mark.parametrize(("height", "width", "size"), [(32, 20, (20, 32)), (96, 96, (96, 96)), (50, 200, (96, 24))])
def test_it_is_small_and_never_enlarged(height, width, size):
    assert thumbnail.thumbnail(noise(height, width), 1).size == size
    assert content(thumbnail.address(noise(height, width), 1)).size == size


def test_a_small_image_loses_nothing_and_a_photo_is_compressed():
    images = noise(32, 32)
    assert np.array_equal(np.asarray(content(thumbnail.address(images, 1))), images.pixels[1])
    photo = noise(96, 96)
    assert not np.array_equal(np.asarray(content(thumbnail.address(photo, 1))), photo.pixels[1])


def test_without_webp_it_is_a_png(monkeypatch):
    monkeypatch.setattr(thumbnail.features, "check", lambda name: False)
    address = thumbnail.address(noise(8, 8), 0)
    assert address.startswith("data:image/png;base64,")
    assert content(address).format == "PNG"


def test_what_cannot_be_read_is_a_crossed_box(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    picture = thumbnail.thumbnail(ImageFiles(tmp_path, ["a.png"]), 0)
    assert picture.size == (thumbnail.SIDE, thumbnail.SIDE)
    assert picture.getpixel((48, 48)) == thumbnail.LINE
    assert picture.getpixel((48, 10)) == thumbnail.PAPER


def test_an_image_is_named_by_its_path_or_number(tmp_path):
    assert thumbnail.image_name(ImageFiles(tmp_path, ["x/a.png", "x/b.png"]), 1) == "x/b.png"
    assert thumbnail.image_name(noise(8, 8), 1) == "image 2"
