"""Operations of towers by hand, and of architectures whose weights are not there."""

from __future__ import annotations

import pytest

from benchmark.backbones import flops
from benchmark.config.schema import BackboneSpec


def test_a_vit_by_hand():
    """ViT-B/16 at 224 pixels: 197 tokens of width 768, 12 blocks; text of 77 tokens, width 512."""

    def blocks(tokens: int, width: int, layers: int) -> float:
        return layers * (2 * tokens * 12 * width**2 + 2 * 2 * tokens**2 * width)

    found = flops.of_architecture(BackboneSpec(model="ViT-B-16-quickgelu", pretrained="openai"))
    patches, projection = 2 * 196 * 3 * 16 * 16 * 768, 2 * 768 * 512
    assert found.image == pytest.approx(blocks(197, 768, 12) + patches + projection, rel=0.01)
    assert 77 * found.token == pytest.approx(blocks(77, 512, 12) + 2 * 512 * 512, rel=0.01)


def test_a_loaded_model_has_the_same_as_its_architecture(backbones):
    counted = flops.count(backbones["native"].model)
    assert 0 < counted.token < counted.image


@pytest.mark.parametrize("model", ["local-dir:/nowhere", "hf-hub:who/knows", "no-such-model"])
def test_what_has_no_name_in_open_clip_cannot_be_counted(model):
    pretrained = None if ":" in model else "openai"
    assert flops.of_architecture(BackboneSpec(model=model, pretrained=pretrained)) is None
