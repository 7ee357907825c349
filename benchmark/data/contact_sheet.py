"""A picture of a few images of each class, to see at a glance whether labels and images belong together."""

from __future__ import annotations

import io

from PIL import Image, ImageDraw, ImageFont

from benchmark.config.errors import UserError
from benchmark.data.dataset import Examples, Splits

TILE, GAP, HEADING = 96, 6, 18
"""In pixels."""
PAPER, INK, LINE = (255, 255, 255), (29, 35, 41), (154, 163, 171)


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
                sheet.paste(tile(part, row), (start + place * (TILE + GAP), top + HEADING))
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


def tile(part: Examples, row: int) -> Image.Image:
    """An image in a square of ``TILE`` pixels; a crossed box if it cannot be read."""
    square = Image.new("RGB", (TILE, TILE), PAPER)
    try:
        image = part.images[row].convert("RGB")
    except UserError:
        draw = ImageDraw.Draw(square)
        draw.rectangle((0, 0, TILE - 1, TILE - 1), outline=LINE)
        draw.line((0, 0, TILE, TILE), LINE)
        draw.line((0, TILE, TILE, 0), LINE)
        return square
    scale = TILE / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    image = image.resize(size, Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BICUBIC)
    square.paste(image, ((TILE - image.width) // 2, (TILE - image.height) // 2))
    return square
