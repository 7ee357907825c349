"""The small vision towers of the icon-world releases."""

from __future__ import annotations

import pytest
import timm
import torch

from benchmark.backbones.icon_towers import GRID, IMAGE_SIZE, ConvStem


def test_the_stem_makes_one_token_of_every_eight_pixels():
    stem = ConvStem(16)
    pixels = torch.randn(2, 3, IMAGE_SIZE, IMAGE_SIZE, generator=torch.Generator().manual_seed(0))
    tokens = stem(pixels)
    assert tokens.shape == (2, GRID * GRID, 16)
    moved = pixels.clone()
    moved[:, :, :8, :8] += 1
    change = (stem(moved) - tokens).abs().amax(dim=(0, 2))
    assert set(change.topk(4).indices.tolist()) == {0, 1, GRID, GRID + 1}  # row by row: that patch and its neighbours


@pytest.mark.parametrize("name", ["pico_stem_vit", "pico_eva"])
def test_timm_makes_them_and_has_no_pretrained_ones(name):
    model = timm.create_model(name, num_classes=0)
    features = model(torch.zeros(1, 3, IMAGE_SIZE, IMAGE_SIZE))
    assert features.shape == (1, 128)
    with pytest.raises(RuntimeError, match="no ImageNet weights"):
        timm.create_model(name, pretrained=True)
