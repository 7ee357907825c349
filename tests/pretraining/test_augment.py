"""Augmentation of ink maps."""

from __future__ import annotations

import torch

from pretraining.augment import augment


def test_only_drawings_that_stay_true_are_mirrored():
    """Augmentation: with all else equal a mirrored picture appears where it may, and never where it may not."""
    ink = torch.zeros(256, 32, 32)
    ink[:, 8:24, 4:10] = 1  # on the left
    for allowed in (True, False):
        views = augment(ink, torch.full((256,), allowed), torch.Generator().manual_seed(0), colour=0.0)
        assert views.shape == (256, 3, 32, 32)
        assert 0 <= views.min() <= views.max() <= 1
        dark = 1 - views.mean(1)
        right = (dark[..., 16:].sum((1, 2)) > dark[..., :16].sum((1, 2))).float().mean()
        assert bool(right > 0.3) is allowed
        assert allowed or right < 0.02
