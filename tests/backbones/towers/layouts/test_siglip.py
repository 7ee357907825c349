"""SigLIP's image encoder: image prompts join its tokens, and the attention pool does not see them."""

from __future__ import annotations

import pytest
import torch

from benchmark.backbones.towers import tower
from benchmark.backbones.towers.attention import projections
from benchmark.backbones.towers.layouts.siglip import SigLIPViT
from benchmark.backbones.towers.prompts import image_prompts
from benchmark.backbones.towers.tensors import biases, norms, with_changes
from benchmark.method import registry

CLOSE = {"atol": 1e-9, "rtol": 1e-9}


@pytest.fixture
def double_siglip(siglip):
    """In double precision, and single again afterwards."""
    siglip.model.double()
    yield siglip
    siglip.model.float()


@pytest.fixture
def pixels() -> torch.Tensor:
    return torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def prompts(count: int, seed: int) -> torch.Tensor:
    return torch.randn(count, 48, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def with_prompts(trunk, pixels: torch.Tensor, by_block: dict[int, torch.Tensor]) -> torch.Tensor:
    """Features by timm's own modules, with prompts before the tokens of the image."""
    x = trunk.norm_pre(trunk.patch_drop(trunk._pos_embed(trunk.patch_embed(pixels))))  # (B, n, d_v)
    count = len(by_block[0])
    x = torch.cat([by_block[0].expand(len(x), -1, -1), x], dim=1)
    for number, block in enumerate(trunk.blocks):
        if number and number in by_block:
            x = torch.cat([by_block[number].expand(len(x), -1, -1), x[:, count:]], dim=1)
        x = block(x)
    return trunk.head(trunk.fc_norm(trunk.attn_pool(trunk.norm(x)[:, count:])))


def test_its_layout_is_chosen_before_the_plain_one(siglip, backbones):
    assert type(tower(siglip, "vision")) is SigLIPViT
    assert tower(siglip, "vision").prompt_incompatibility() is None
    assert not SigLIPViT.matches(backbones["stem"].model.visual)


def test_the_straight_line_is_the_encoder(double_siglip, pixels):
    """Without prompts, so that the comparison below is with the right computation."""
    with torch.no_grad():
        features = with_prompts(double_siglip.model.visual.trunk, pixels, {0: prompts(0, 1)})
        torch.testing.assert_close(features, double_siglip.encode_image(pixels), **CLOSE)


@pytest.mark.parametrize("by_block", [{0: prompts(2, 1)}, {0: prompts(3, 1), 1: prompts(3, 2)}], ids=["shallow", "deep"])
def test_features_with_prompts(by_block, double_siglip, pixels):
    with torch.no_grad():
        plain = double_siglip.encode_image(pixels)
        expected = with_prompts(double_siglip.model.visual.trunk, pixels, by_block)
        with image_prompts(double_siglip, by_block):
            torch.testing.assert_close(double_siglip.encode_image(pixels), expected, **CLOSE)
        assert torch.equal(double_siglip.encode_image(pixels), plain), "everything is as before"
    assert (expected - plain).abs().max() > 1e-3


def test_the_pool_sees_only_the_tokens_of_the_image(double_siglip, pixels):
    pool = double_siglip.model.visual.trunk.attn_pool
    shapes = []
    hook = pool.register_forward_hook(lambda module, inputs, output: shapes.append(tuple(inputs[0].shape)))
    with image_prompts(double_siglip, {0: prompts(5, 1)}):
        double_siglip.encode_image(pixels)
    hook.remove()
    assert shapes == [(3, 4, 48)]


@pytest.mark.parametrize("name", ["vpt", "ivlp", "maple", "promptsrc"])
def test_methods_with_image_prompts_are_compatible(name, siglip):
    cls = registry.methods()[name].cls
    assert cls.incompatibility(cls.Config(), siglip) is None


def test_addresses(siglip):
    """Two blocks: four projections each; two norms each and the final one; biases of norms, q, v, out and the MLP."""
    assert len(projections(siglip, "vision")) == 2 * 4
    assert {(p.d_in, p.d_out) for p in projections(siglip, "vision")} == {(48, 48)}
    assert len(norms(siglip, "vision")) == 2 * (2 * 2) + 2
    assert len(biases(siglip, "vision")) == 2 * (2 + 3 + 2) + 1
    assert not any("attn_pool" in address.parameter for address in biases(siglip, "vision") + norms(siglip, "vision"))


def test_every_address_matters(double_siglip, pixels):
    with torch.no_grad():
        plain = double_siglip.encode_image(pixels)
        for address in {
            address.key: address for address in norms(double_siglip, "vision") + biases(double_siglip, "vision")
        }.values():
            change = torch.randn(address.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
            changed = with_changes(double_siglip, {address: change}, double_siglip.encode_image, pixels)
            assert (changed - plain).abs().max() > 1e-6, address.key
