"""Addresses of attention projections, and what is added to them for a while."""

from __future__ import annotations

import pytest
import torch

from benchmark.backbones.clip import Backbone
from benchmark.backbones.towers import tower
from benchmark.backbones.towers.attention import ROLES, adding, projections

TEXTS = ["a photo of a cat.", "a red dog", "boat", "an icon of a blue bird house"]


def pixels(count: int = 3) -> torch.Tensor:
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


VISION = {"native": (2, 32), "eva": (4, 128), "stem": (4, 128), "narrow": (2, 32)}
FUSED = pytest.param("stem", id="stem (fused qkv)")
LAYOUTS = ["native", "eva", FUSED]


def weight_of(backbone: Backbone, site) -> torch.Tensor:
    """The rows of a backbone's own weights that are a projection, as a view."""
    if site.tower == "text":
        attention = backbone.text.transformer.resblocks[site.layer].attn
    elif hasattr(backbone.model.visual, "trunk"):
        attention = backbone.model.visual.trunk.blocks[site.layer].attn
    else:
        attention = backbone.model.visual.transformer.resblocks[site.layer].attn
    if site.role == "out":
        return (attention.out_proj if hasattr(attention, "out_proj") else attention.proj).weight
    packed = getattr(attention, "in_proj_weight", None)
    if packed is None and getattr(attention, "qkv", None) is not None:
        packed = attention.qkv.weight
    if packed is None:
        return getattr(attention, f"{site.role}_proj").weight
    return packed.chunk(3)["qkv".index(site.role)]


def encode(backbone: Backbone, tower: str) -> torch.Tensor:
    with torch.no_grad():
        return backbone.encode_texts(TEXTS) if tower == "text" else backbone.encode_image(pixels())


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("encoder", ["text", "vision"])
def test_every_projection_has_an_address(name, encoder, backbones):
    depth, width = VISION[name] if encoder == "vision" else (2, 32)
    found = projections(backbones[name], encoder)
    assert len(tower(backbones[name], encoder).blocks) == depth
    assert [(site.layer, site.role) for site in found] == [(layer, role) for layer in range(depth) for role in ROLES]
    assert {(site.d_in, site.d_out) for site in found} == {(width, width)}
    assert len({site.key for site in found}) == len(found)
    assert all(weight_of(backbones[name], site).shape == (site.d_out, site.d_in) for site in found)


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("encoder", ["text", "vision"])
def test_adding_nothing_changes_nothing(name, encoder, double):
    backbone = double(name)
    sites = projections(backbone, encoder)
    before = encode(backbone, encoder)
    with adding(backbone, {site: (lambda x, width=site.d_out: x.new_zeros(*x.shape[:-1], width)) for site in sites}):
        torch.testing.assert_close(encode(backbone, encoder), before, atol=1e-9, rtol=1e-9)
    with adding(backbone, {}):
        assert torch.equal(encode(backbone, encoder), before)


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("encoder", ["text", "vision"])
@pytest.mark.parametrize("role", ROLES)
def test_adding_to_an_output_equals_changing_the_weight(name, encoder, role, double):
    backbone = double(name)
    site = [s for s in projections(backbone, encoder) if s.role == role][-1]
    change = 0.3 * torch.randn(site.d_out, site.d_in, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    plain = encode(backbone, encoder)
    with adding(backbone, {site: lambda x: x @ change.T}):
        added = encode(backbone, encoder)
    weight = weight_of(backbone, site)
    weight += change
    changed = encode(backbone, encoder)
    weight -= change
    assert (changed - plain).abs().max() > 1e-3
    torch.testing.assert_close(added, changed, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_backbone_is_as_before_after_adding(name, double):
    """Also when the body raises: no patched forward and no hook stays."""
    backbone = double(name)
    before = encode(backbone, "text"), encode(backbone, "vision")
    sites = projections(backbone, "text") + projections(backbone, "vision")
    with (  # noqa: PT012
        pytest.raises(RuntimeError, match="on purpose"),
        adding(backbone, {site: lambda x: x + 1 for site in sites}),
    ):
        assert not torch.allclose(encode(backbone, "text"), before[0])
        raise RuntimeError("on purpose")
    assert torch.equal(encode(backbone, "text"), before[0])
    assert torch.equal(encode(backbone, "vision"), before[1])
    assert not any("forward" in vars(module) for module in backbone.model.modules())
    assert not any(module._forward_hooks for module in backbone.model.modules())


def test_an_unknown_layout_has_no_addresses(load_backbone):
    backbone = load_backbone("eva")
    backbone.model.visual.trunk.blocks[0].attn = torch.nn.Identity()
    assert not [site for site in projections(backbone, "vision") if site.layer == 0]
