"""Small pictures of images, for contact sheets and pages."""

from __future__ import annotations

import base64
import io

from PIL import Image, ImageDraw, features

from benchmark.config.errors import UserError
from benchmark.data.dataset import Images

SIDE = 96
"""Longest side in pixels."""
LOSSLESS = 64
"""Longest side in pixels of a picture that is stored without loss: it is small already."""
PAPER, LINE = (255, 255, 255), (154, 163, 171)


def thumbnail(images: Images, row: int) -> Image.Image:
    """An image in RGB, its longest side at most ``SIDE`` pixels and never enlarged; a crossed box of that size if it cannot
    be read."""
    try:
        image = images[row].convert("RGB")
    except UserError:
        return _crossed_box()
    scale = SIDE / max(image.size)
    if scale >= 1:
        return image
    return image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))), Image.Resampling.BICUBIC)


def address(images: Images, row: int) -> str:
    """``thumbnail`` as a data URI, which a page can show without loading anything."""
    picture, buffer = thumbnail(images, row), io.BytesIO()
    kind = "webp" if features.check("webp") else "png"
    small = max(picture.size) <= LOSSLESS
    options = {"lossless": small, "quality": 100 if small else 80, "method": 4} if kind == "webp" else {"optimize": True}
    picture.save(buffer, format=kind, **options)
    return f"data:image/{kind};base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def image_name(images: Images, row: int) -> str:
    """An image's path within its data set; its number if it has none."""
    paths = getattr(images, "paths", None)
    return str(paths[row]) if paths else f"image {row + 1}"


def _crossed_box() -> Image.Image:
    box = Image.new("RGB", (SIDE, SIDE), PAPER)
    draw = ImageDraw.Draw(box)
    draw.rectangle((0, 0, SIDE - 1, SIDE - 1), outline=LINE)
    draw.line((0, 0, SIDE, SIDE), LINE)
    draw.line((0, SIDE, SIDE, 0), LINE)
    return box
