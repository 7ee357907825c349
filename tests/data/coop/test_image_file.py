"""Pixels of every kind of image file, or why there are none."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from fixtures.folders import refusal
from PIL import Image, TiffImagePlugin

from benchmark.data.coop import image_file
from benchmark.data.coop.image_file import problem, read_image

RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)
"""Every brightness once."""


def save(file: Path, pixels: np.ndarray, **options) -> Path:
    Image.fromarray(pixels).save(file, **options)
    return file


def grey(file: Path) -> np.ndarray:
    """The brightness of an image whose three channels must be alike."""
    image = read_image(file)
    assert image.mode == "RGB"
    pixels = np.asarray(image)
    assert (pixels == pixels[..., :1]).all()
    return pixels[..., 0]


@pytest.mark.parametrize("name", ["deep.png", "deep.tif", "deep.pgm"])
def test_16_bits_are_scaled_to_8(name, tmp_path):
    """257 maps 0..255 to 0..65535; without scaling such images are white."""
    file = tmp_path / name
    if name.endswith("pgm"):
        file.write_bytes(b"P5 16 16 65535\n" + (RAMP.astype(">u2") * 257).tobytes())
    else:
        save(file, RAMP.astype(np.uint16) * 257)
    assert np.array_equal(grey(file), RAMP)
    assert problem(file) == ""


def test_12_bits_are_scaled_to_8(tmp_path):
    """As microscopes write them; Pillow cannot write such a file, so its one strip is packed here."""
    values = (RAMP.astype(np.uint32).ravel() * 4095 // 255).reshape(-1, 2)
    packed = np.stack([values[:, 0] >> 4, (values[:, 0] & 15) << 4 | values[:, 1] >> 8, values[:, 1] & 255], 1)
    strip = packed.astype(np.uint8).tobytes()
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, value in ((256, 16), (257, 16), (258, 12), (259, 1), (262, 1), (277, 1), (278, 16), (279, len(strip))):
        tags[tag] = value
    tags[273] = 0  # where the strip is; Pillow adds the length of what comes before
    head = b"II*\0\x08\0\0\0"
    (tmp_path / "deep.tif").write_bytes(head + tags.tobytes(len(head)) + strip)
    assert np.abs(grey(tmp_path / "deep.tif").astype(int) - RAMP).max() <= 1


@pytest.mark.parametrize(("kind", "words"), [(np.int32, "32-bit integers"), (np.float32, "floating-point numbers")])
def test_values_of_unknown_range_are_refused(kind, words, tmp_path):
    file = save(tmp_path / "x.tif", RAMP.astype(kind))
    assert words in refusal(lambda: read_image(file))
    assert words in problem(file)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "YCbCr"])
def test_all_modes_of_8_bits_are_rgb(mode, tmp_path):
    image = Image.fromarray(np.stack([RAMP] * 3, -1)).convert(mode)
    image.save(tmp_path / "x.tif")
    assert np.array_equal(np.asarray(read_image(tmp_path / "x.tif")), np.asarray(image.convert("RGB")))
    assert problem(tmp_path / "x.tif") == ""


def test_an_orientation_is_not_applied(tmp_path):
    """As in the official code: the pixels are those of the file."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.stack([RAMP] * 3, -1)[:8]).save(tmp_path / "x.png", exif=exif)
    assert read_image(tmp_path / "x.png").size == (16, 8)


def jpeg() -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def png() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(RAMP).save(buffer, "PNG")
    return buffer.getvalue()


BROKEN = {
    "empty": (b"", "an empty file"),
    "text": (b"hello", "not a readable image"),
    "cut JPEG": (jpeg()[:-2000], "not a readable image"),
    "cut PNG": (png()[:-30], "not a readable image"),
    "head only": (jpeg()[:30], "not a readable image"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "git lfs pull"),
    "page": (b"\n<!DOCTYPE html><html>404</html>", "a web page"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_image_says_what_it_is(kind, tmp_path):
    """The same when it is looked at as when it is read."""
    file, (content, words) = tmp_path / "x.jpg", BROKEN[kind]
    file.write_bytes(content)
    assert words in refusal(lambda: read_image(file))
    assert words in problem(file)
    assert str(file) in problem(file)


def test_a_whole_image_with_something_behind_it_is_fine(tmp_path):
    """Cameras append data of their own."""
    (tmp_path / "x.jpg").write_bytes(jpeg() + b"\0" * 10_000)
    assert problem(tmp_path / "x.jpg") == ""
    assert read_image(tmp_path / "x.jpg").size == (64, 64)


def test_folders_and_pipes_are_not_opened(tmp_path):
    (tmp_path / "a.jpg").mkdir()
    os.mkfifo(tmp_path / "b.jpg")
    assert "a folder, but named like an image" in problem(tmp_path / "a.jpg")
    assert "not a regular file" in problem(tmp_path / "b.jpg")
    assert "no such image" in problem(tmp_path / "c.jpg")


def test_an_image_that_is_too_large_is_not_to_be_got_again(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    line = problem(save(tmp_path / "x.png", RAMP))
    assert "make it smaller" in line


def test_whole_images_are_not_decoded(tmp_path, monkeypatch):
    """A look at many files must be quick."""
    (tmp_path / "x.jpg").write_bytes(jpeg())
    (tmp_path / "x.png").write_bytes(png())
    monkeypatch.setattr(image_file, "read_image", lambda file: pytest.fail("decoded"))
    assert problem(tmp_path / "x.jpg") == problem(tmp_path / "x.png") == ""
