"""A sheet shows the right images at the right place."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from benchmark.data.contact_sheet import GAP, HEADING, TILE, contact_sheet, png
from benchmark.data.coop.files import ImageFiles
from benchmark.data.dataset import ArrayImages, Examples, Splits

COLOURS = np.array([(200, 0, 0), (0, 200, 0), (0, 0, 200)], np.uint8)


def plain(labels) -> Examples:
    """Each image has its class's colour."""
    pixels = np.ones((len(labels), 8, 8, 1), np.uint8) * COLOURS[list(labels)][:, None, None]
    return Examples(ArrayImages(pixels), tuple(labels))


def centre(sheet, line: int, column: int, start: int = GAP) -> tuple[int, ...]:
    top = HEADING + line * (HEADING + TILE + GAP) + HEADING
    return sheet.getpixel((start + column * (TILE + GAP) + TILE // 2, top + TILE // 2))


def test_every_class_has_its_line():
    splits = Splits(("a", "b", "c"), train=plain([2, 0, 1, 0, 0]), test=plain([0, 1, 2, 2]))
    sheet = contact_sheet(splits, each=2)
    test = GAP + 2 * (TILE + GAP) + 4 * GAP
    for label in range(3):
        assert centre(sheet, label, 0) == tuple(COLOURS[label])
        assert centre(sheet, label, 0, test) == tuple(COLOURS[label])
    assert centre(sheet, 1, 1) == (255, 255, 255), "it has one training image"
    assert centre(sheet, 2, 1, test) == tuple(COLOURS[2])


def test_many_classes_and_shifted_sets_fit():
    sheet = contact_sheet(Splits(tuple("abc"), test=plain([0, 1, 2])), each=1, classes=2)
    assert sheet.height == HEADING + 2 * (HEADING + TILE + GAP)
    assert centre(sheet, 1, 0) == tuple(COLOURS[1])
    assert Image.open(io.BytesIO(png(sheet))).size == sheet.size


def test_an_unreadable_image_is_a_crossed_box(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    broken = Examples(ImageFiles(tmp_path, ["a.png"]), (0,))
    assert centre(contact_sheet(Splits(("a",), test=broken), each=1), 0, 0) == (154, 163, 171)
