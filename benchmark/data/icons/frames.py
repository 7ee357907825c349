"""Enclosing shapes around small drawings, and clutter around large ones."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw

from benchmark.data.icons.render import SIZE

_CANVAS = 128
_CENTRE = _CANVAS / 2
_RADIUS = 56.0
_INSIDE = 14
"""Side of the enclosed drawing in pixels."""

_SIDES = {"triangle": (3, 90.0), "square": (4, 45.0), "rhombus": (4, 0.0), "hexagon": (6, 0.0), "octagon": (8, 22.5)}
"""Regular polygons: number of corners, and the angle of the first one in degrees."""


def outline(shape: str, stroke: int) -> Image.Image:
    """Ink map of the outline of an enclosing shape on a large canvas; ``stroke`` is the line width there."""
    picture = Image.new("L", (_CANVAS, _CANVAS), 0)
    draw = ImageDraw.Draw(picture)
    low, high = _CENTRE - _RADIUS, _CENTRE + _RADIUS
    if shape == "circle":
        draw.ellipse((low, low, high, high), outline=255, width=stroke)
    else:
        points = _points(shape)
        draw.line([*points, points[0], points[1]], fill=255, width=stroke, joint="curve")
    return picture


def _points(shape: str) -> list[tuple[float, float]]:
    if shape in _SIDES:
        count, first = _SIDES[shape]
        return [_polar(first + 360 * k / count, 1.0) for k in range(count)]
    if shape == "star":
        return [_polar(90 + 36 * k, 1.0 if k % 2 == 0 else 0.6) for k in range(10)]
    if shape == "shield":
        return [(16, 20), (64, 8), (112, 20), (110, 66), (96, 96), (64, 120), (32, 96), (18, 66)]
    steps = np.linspace(0, 2 * math.pi, 73)[:-1]
    if shape == "heart":
        return [
            (64 + 3.4 * 16 * math.sin(t) ** 3, 58 - 3.4 * (13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t)))
            for t in steps
        ]
    if shape == "cloud":
        return [_polar(math.degrees(t), 0.85 + 0.15 * abs(math.sin(2.5 * t))) for t in steps]
    raise ValueError(f"unknown shape {shape!r}")


def _polar(degrees: float, share: float) -> tuple[float, float]:
    angle = math.radians(degrees)
    return _CENTRE + _RADIUS * share * math.cos(angle), _CENTRE - _RADIUS * share * math.sin(angle)


def enclose(ink: np.ndarray, shape: str, stroke: int) -> np.ndarray:
    """The drawing ``ink`` (32, 32), reduced in size, inside an enclosing shape: uint8 (32, 32)."""
    frame = outline(shape, stroke).resize((SIZE, SIZE), Image.Resampling.LANCZOS)
    small = Image.fromarray(ink).resize((_INSIDE, _INSIDE), Image.Resampling.LANCZOS)
    picture = np.array(frame)
    corner = (SIZE - _INSIDE) // 2
    middle = picture[corner : corner + _INSIDE, corner : corner + _INSIDE]
    np.maximum(middle, np.asarray(small), out=middle)
    return picture


def clutter(ink: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The drawing ``ink`` among random strokes, speckle and a grey gradient: grey levels, uint8 (32, 32), 255 is paper."""
    canvas = Image.new("L", (_CANVAS, _CANVAS), 0)
    draw = ImageDraw.Draw(canvas)
    for _ in range(4):
        start, end = rng.integers(0, _CANVAS, 2), rng.integers(0, _CANVAS, 2)
        draw.line([tuple(map(int, start)), tuple(map(int, end))], fill=int(rng.integers(90, 200)), width=4)
    strokes = np.asarray(canvas.resize((SIZE, SIZE), Image.Resampling.LANCZOS), np.float32)
    slope = np.linspace(0, float(rng.uniform(20, 70)), SIZE, dtype=np.float32)
    paper = 255 - (slope[:, None] if rng.random() < 0.5 else slope[None, :])
    grey = paper * (1 - np.maximum(ink, strokes) / 255) + rng.normal(0, 18, ink.shape)
    return np.clip(grey, 0, 255).astype(np.uint8)
