"""Glyphs to pixels: 32 x 32 ink maps (0 background, 255 ink), trimmed and centred, cached per family."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from benchmark.data.cache import SUFFIX, load_array, save_array, user_cache
from benchmark.data.icons.families import FAMILIES, Glyph

SIZE = 32
BOX = 28
"""Longer side of the trimmed drawing in the SIZE x SIZE picture, in pixels."""
RENDER_VERSION = 1
"""Increase when the output of this file changes; cached pictures of older versions are then ignored."""
_RASTER = 72


def render(glyph: Glyph) -> np.ndarray:
    """Ink map of a one-colour glyph, uint8 (SIZE, SIZE)."""
    ink = _font_ink(glyph) if glyph.codepoint is not None else _svg(glyph.file).getchannel("A")
    return fit(ink)


def rotated(glyph: Glyph, degrees: float) -> np.ndarray:
    """Ink map of a glyph turned counter-clockwise, uint8 (SIZE, SIZE)."""
    ink = _font_ink(glyph) if glyph.codepoint is not None else _svg(glyph.file).getchannel("A")
    return fit(ink.rotate(degrees, Image.Resampling.BICUBIC, expand=True))


def render_rgb(glyph: Glyph) -> np.ndarray:
    """Colour picture of an SVG glyph on white, uint8 (SIZE, SIZE, 3)."""
    picture = _svg(glyph.file)
    box = picture.getchannel("A").getbbox() or (0, 0, *picture.size)
    flat = Image.new("RGB", picture.size, "white")
    flat.paste(picture, mask=picture.getchannel("A"))
    return _place(flat.crop(box), Image.new("RGB", (SIZE, SIZE), "white"))


def fit(ink: Image.Image) -> np.ndarray:
    """Trim an 8-bit ink map, scale its longer side to BOX pixels and centre it."""
    box = ink.getbbox()
    canvas = Image.new("L", (SIZE, SIZE), 0)
    return np.zeros((SIZE, SIZE), np.uint8) if box is None else _place(ink.crop(box), canvas)


def _place(part: Image.Image, canvas: Image.Image) -> np.ndarray:
    scale = BOX / max(part.size)
    width, height = (max(1, round(side * scale)) for side in part.size)
    part = part.resize((width, height), Image.Resampling.LANCZOS)
    canvas.paste(part, ((SIZE - width) // 2, (SIZE - height) // 2))
    return np.asarray(canvas)


@lru_cache(maxsize=16)
def _font(file: Path) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(file), _RASTER)


def _font_ink(glyph: Glyph) -> Image.Image:
    return text_ink(glyph.file, chr(glyph.codepoint or 0))


def text_ink(font: Path, text: str) -> Image.Image:
    """Ink map of ``text`` set in the font file ``font``."""
    canvas = Image.new("L", (2 * _RASTER, 2 * _RASTER), 0)
    ImageDraw.Draw(canvas).text((_RASTER // 2, _RASTER // 2), text, font=_font(font), fill=255)
    return canvas


def _svg(file: Path) -> Image.Image:
    import resvg_py  # optional: only families of SVG files need it

    svg = file.read_text(encoding="utf-8").replace("currentColor", "#000000")
    png = resvg_py.svg_to_bytes(svg_string=svg, width=_RASTER, height=_RASTER)
    return Image.open(io.BytesIO(bytes(png))).convert("RGBA")


def ink_maps(glyphs: Sequence[Glyph]) -> np.ndarray:
    """Ink maps of many glyphs of one family, uint8 (N, SIZE, SIZE), from the cache if it holds exactly these."""
    return _cached(glyphs, "ink", render)


def rgb_maps(glyphs: Sequence[Glyph]) -> np.ndarray:
    """Colour pictures of many SVG glyphs of one family, uint8 (N, SIZE, SIZE, 3), cached like ``ink_maps``."""
    return _cached(glyphs, "rgb", render_rgb)


def _cached(glyphs: Sequence[Glyph], kind: str, draw: Callable[[Glyph], np.ndarray]) -> np.ndarray:
    if not glyphs:
        raise ValueError("no glyphs to render")
    names = [f"{glyph.family}/{glyph.style}/{glyph.name}" for glyph in glyphs]
    versions = sorted(FAMILIES[family].version() for family in {glyph.family for glyph in glyphs})
    key = hashlib.sha256("\n".join([str(RENDER_VERSION), kind, *versions, *names]).encode()).hexdigest()[:24]
    file = cache_folder() / f"{kind}-{key}{SUFFIX}"
    stored = load_array(file)
    if stored is not None and stored.dtype == np.uint8 and len(stored) == len(glyphs):
        return stored
    pictures = np.stack([draw(glyph) for glyph in glyphs])
    save_array(file, pictures)
    return pictures


def cache_folder() -> Path:
    """Folder for rendered pictures."""
    return user_cache() / "icons"
