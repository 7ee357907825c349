"""Batched augmentation of ink maps on tensors: cheap enough to run within each training step."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F


def augment(ink: torch.Tensor, flip_ok: torch.Tensor, rng: torch.Generator, *, colour: float) -> torch.Tensor:
    """Random views of ink maps.

    Args:
        ink: (B, S, S) in [0, 1].
        flip_ok: (B,) bool, True if the caption also describes the mirror image.
        rng: the only source of randomness.
        colour: probability of a random ink and paper colour instead of black on white.

    Returns:
        (B, 3, S, S) pictures in [0, 1].
    """
    count = len(ink)

    def uniform(low: float, high: float, *shape: int) -> torch.Tensor:
        return low + (high - low) * torch.rand(count, *shape, generator=rng)

    x = ink[:, None]
    thick, thin = F.max_pool2d(x, 3, 1, 1), -F.max_pool2d(-x, 3, 1, 1)
    stroke = uniform(-0.6, 0.9, 1, 1, 1)
    x = torch.where(stroke > 0, torch.lerp(x, thick, stroke.clamp(min=0)), torch.lerp(x, thin, (-stroke).clamp(min=0) * 0.6))
    angle = uniform(-1, 1) * math.radians(12)
    scale_x, scale_y = uniform(0.92, 1.3), uniform(0.92, 1.3)
    mirror = torch.where(flip_ok & (torch.rand(count, generator=rng) < 0.5), -1.0, 1.0)
    cos, sin = angle.cos(), angle.sin()
    theta = torch.stack(
        [
            torch.stack([mirror * scale_x * cos, -scale_y * sin, uniform(-0.15, 0.15)], 1),
            torch.stack([mirror * scale_x * sin, scale_y * cos, uniform(-0.15, 0.15)], 1),
        ],
        1,
    )
    x = F.grid_sample(x, F.affine_grid(theta, list(x.shape), align_corners=False), align_corners=False)
    return paint(x, rng, colour=colour)


def paint(ink: torch.Tensor, rng: torch.Generator, *, colour: float) -> torch.Tensor:
    """Ink (B, 1, S, S) on paper: black on white, or with probability ``colour`` two random contrasting colours."""
    count = len(ink)
    dark, bright = torch.rand(count, 3, 1, 1, generator=rng) * 0.55, 1 - torch.rand(count, 3, 1, 1, generator=rng) * 0.45
    swap = torch.rand(count, 1, 1, 1, generator=rng) < 0.3
    front, back = torch.where(swap, bright, dark), torch.where(swap, dark, bright)
    coloured = torch.rand(count, 1, 1, 1, generator=rng) < colour
    front, back = torch.where(coloured, front, 0.0), torch.where(coloured, back, 1.0)
    picture = back + (front - back) * ink
    return (picture + 0.03 * torch.randn(picture.shape, generator=rng)).clamp(0, 1)
