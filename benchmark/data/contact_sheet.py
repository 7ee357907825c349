"""A picture of a few images of each class, to see at a glance whether labels and images belong together."""

from __future__ import annotations

import io

from PIL import Image, ImageDraw, ImageFont

from benchmark.data.dataset import Examples, Splits
from benchmark.data.thumbnail import PAPER, SIDE, thumbnail

TILE, GAP, HEADING = SIDE, 6, 18
"""In pixels."""
INK = (29, 35, 41)


def contact_sheet(splits: Splits, *, each: int = 4, classes: int = 60) -> Image.Image:
    """One line per class: ``each`` training images, then as many test images; only the first ``classes`` classes. An image
    that cannot be read is a crossed box."""
    parts = [part for part in (splits.train, splits.test) if part is not None]
    names = splits.classes[:classes]
    width = GAP + len(parts) * (each * (TILE + GAP) + 4 * GAP)
    sheet = Image.new("RGB", (width, HEADING + len(names) * (HEADING + TILE + GAP)), PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=12)
    titles = ("training", "test") if splits.train is not None else ("test",)
    starts = [GAP + place * (each * (TILE + GAP) + 4 * GAP) for place in range(len(parts))]
    for start, title in zip(starts, titles, strict=True):
        draw.text((start, 2), title, INK, font)
    for label, name in enumerate(names):
        top = HEADING + label * (HEADING + TILE + GAP)
        draw.text((GAP, top), name, INK, font)
        for start, part in zip(starts, parts, strict=True):
            for place, row in enumerate(_spread(part, label, each)):
                sheet.paste(_tile(part, row), (start + place * (TILE + GAP), top + HEADING))
    return sheet


def png(sheet: Image.Image) -> bytes:
    """A picture as the content of a PNG file."""
    buffer = io.BytesIO()
    sheet.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def _spread(part: Examples, label: int, count: int) -> list[int]:
    """Rows of ``count`` images of a class, from the whole of it."""
    rows = [row for row, own in enumerate(part.labels) if own == label]
    return [rows[place * len(rows) // count] for place in range(count)] if len(rows) > count else rows


def _tile(part: Examples, row: int) -> Image.Image:
    """``thumbnail`` of an image in a square of ``TILE`` pixels, which a smaller image fills."""
    square, image = Image.new("RGB", (TILE, TILE), PAPER), thumbnail(part.images, row)
    scale = TILE / max(image.size)
    if scale > 1:
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        image = image.resize(size, Image.Resampling.NEAREST)
    square.paste(image, ((TILE - image.width) // 2, (TILE - image.height) // 2))
    return square
