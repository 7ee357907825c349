"""Low-rank changes of attention projections."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from benchmark.backbones.towers.attention import projections
from benchmark.method.lora import LowRank, unknown_attention


@pytest.fixture
def lora(backbones):
    torch.manual_seed(0)
    return LowRank(projections(backbones["native"], "text"), rank=2, alpha=3.0, dropout=0.0)


def test_it_starts_as_no_change_and_scales_by_alpha_over_the_root_of_the_rank(lora, backbones):
    backbone, texts = backbones["native"], ["a red dog", "a cat"]
    before = backbone.encode_texts(texts)
    with lora.within(backbone, "text"):
        torch.testing.assert_close(backbone.encode_texts(texts), before, atol=1e-5, rtol=1e-5)
    assert lora.scale == 3.0 / math.sqrt(2)
    assert {tuple(matrix.shape) for matrix in lora.down.values()} == {(2, 32)}
    assert not any(matrix.any() for matrix in lora.up.values())


def test_a_change_of_one_projection_is_that_of_its_weight(lora, load_backbone):
    backbone = load_backbone("native")
    site = next(site for site in lora.sites if (site.layer, site.role) == (1, "out"))
    with torch.no_grad():
        lora.up[site.key].normal_()
    with lora.within(backbone, "text"):
        changed = backbone.encode_texts(["a red dog"])
    with torch.no_grad():
        weight = backbone.text.transformer.resblocks[1].attn.out_proj.weight
        weight += lora.scale * lora.up[site.key] @ lora.down[site.key]
    torch.testing.assert_close(backbone.encode_texts(["a red dog"]), changed, atol=1e-4, rtol=1e-4)


def test_an_attention_of_unknown_layout_is_named(load_backbone):
    backbone = load_backbone("eva")
    assert unknown_attention(backbone, ("text", "vision")) is None
    for block in backbone.model.visual.trunk.blocks:
        block.attn = nn.Identity()
    assert "vision" in unknown_attention(backbone, ("text", "vision"))
