"""A seal holds while a backbone is used, and breaks at whatever is done to it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from benchmark.backbones.clip import Backbone
from benchmark.backbones.seal import Seal


def swap(values: torch.Tensor, one: int, other: int) -> None:
    flat = values.data.view(-1)
    flat[one], flat[other] = flat[other].clone(), flat[one].clone()


def last_weight(backbone) -> torch.Tensor:
    return max(backbone.model.parameters(), key=torch.numel)


DAMAGE = {
    "a weight": (lambda b: last_weight(b).data.view(-1)[-1].add_(1e-3), "the weights"),
    "all weights a little": (lambda b: [p.data.mul_(1 + 1e-6) for p in b.model.parameters()], "the weights"),
    "two weights swapped": (lambda b: swap(last_weight(b), 0, 1), "the weights"),
    "two distant weights swapped": (lambda b: swap(last_weight(b), 0, -1), "the weights"),
    "the logit scale": (lambda b: b.model.logit_scale.data.add_(1), "the weights"),
    "a hook": (lambda b: b.model.visual.register_forward_hook(lambda *_: None), "hooks"),
    "a hook before": (lambda b: b.text.ln_final.register_forward_pre_hook(lambda *_: None), "hooks"),
    "a method": (lambda b: setattr(b, "encode_image", lambda pixels: pixels), "itself"),
    "a method of a part": (lambda b: setattr(b.model.visual, "forward", lambda pixels: pixels), "attributes"),
    "an attribute": (lambda b: setattr(b.model, "seen", 1), "attributes"),
    "a part": (lambda b: setattr(b.text.transformer, "resblocks", nn.ModuleList()), "parts"),
    "a parameter": (lambda b: setattr(b.model, "logit_scale", nn.Parameter(torch.ones([]))), "parts"),
    "training mode": (lambda b: b.model.train(), "parts"),
    "a gradient": (lambda b: b.model.requires_grad_(True), "parts"),
    "the precision": (lambda b: setattr(b, "_precision", "bf16"), "itself"),
}


@pytest.mark.parametrize("layout", ["native", "eva"])
@pytest.mark.parametrize("case", DAMAGE)
def test_it_breaks(case, layout, load_backbone):
    backbone = load_backbone(layout)
    seal, (damage, words) = Seal(backbone), DAMAGE[case]
    assert seal.broken() is None
    damage(backbone)
    found = seal.broken()
    assert found is not None
    assert found.startswith("it changed ")
    assert words in found


def test_it_holds_while_the_backbone_is_used(load_backbone, backbone):
    own = load_backbone(backbone.name)
    seal = Seal(own)
    own.encode_texts(["a dog"])
    own.encode_image(torch.zeros(2, 3, own.image_size, own.image_size))
    with own.computing_in("bf16"):
        own.encode_texts(["a cat"])
    assert seal.broken() is None


def test_a_method_of_all_backbones_is_put_back(load_backbone):
    seal, before = Seal(load_backbone("native")), Backbone.encode_image
    assert seal.restore_class() is None
    try:
        Backbone.encode_image = lambda self, pixels: pixels
        Backbone.extra = 1
        assert seal.restore_class() == "it replaced encode_image, extra of all backbones"
        assert Backbone.encode_image is before
        assert not hasattr(Backbone, "extra")
    finally:
        Backbone.encode_image = before
