"""Operations of towers by hand, and of architectures whose weights are not there."""

from __future__ import annotations

import pytest
import torch

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


def test_a_model_of_another_make_is_not_counted():
    """Costs then take it for an ordinary one, and the run goes on."""
    spec = BackboneSpec(model="local-dir:/nowhere")
    strange = torch.nn.Linear(2, 2)
    assert flops.of_backbone(spec, strange) is None


def test_a_loaded_backbone_without_a_name_is_counted_as_it_is(backbones):
    spec = BackboneSpec(model="local-dir:/nowhere")
    assert flops.of_backbone(spec, backbones["eva"].model) == flops.count(backbones["eva"].model)
