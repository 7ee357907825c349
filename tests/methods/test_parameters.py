"""How many numbers each method learns, against ``Info.parameters`` and the published counts."""

from __future__ import annotations

import pytest
import torch
from fixtures.formulas import CLASSES, PLUGINS, VISION

from benchmark.backbones.clip import Backbone
from benchmark.config.schema import BackboneSpec
from benchmark.data.batch import ClassList, FewShots


def size(name, backbone, classes=CLASSES, **settings):
    """How many numbers a method learns from twelve images."""
    drawn = torch.Generator().manual_seed(0)
    shown = FewShots(
        torch.arange(12) % len(classes.names), lambda views: torch.randn(views, 12, backbone.embed_dim, generator=drawn)
    )
    cls = PLUGINS[name].cls
    method = cls(cls.Config(**settings), backbone, classes, shown)
    assert not list(method.buffers())
    return sum(parameter.numel() for parameter in method.parameters()), method.config


SETTINGS = {
    "vpt": [{"depth": 1}, {"depth": 3, "n_image": 5}],
    "ivlp": [{"n_image": 0}, {"text_depth": 1, "image_depth": 1, "n_ctx": 3}],
    "ivlp-text": [{"text_depth": 1}],
    "promptsrc": [{"depth": 1}, {"depth": 3, "n_ctx": 2, "n_image": 3}],
    "maple": [{"depth": 1}, {"n_ctx": 3}],
    "masked-lora": [{"rank": 5}],
    "clip-lora": [{"encoder": "text"}, {"encoder": "vision", "rank": 3}, {"roles": ("q", "out")}],
    "clip-lora-text": [{"roles": ("v",)}],
    "clip-lora-vision": [{"rank": 4}],
    "clip-adapter": [{"reduction": 8}],
    "cocoop": [{"reduction": 4, "n_ctx": 2}],
    "contcoop": [{"attention": False}, {"width": 8}],
    "contcoop-names": [{"width": 8}],
    "coop-csc": [{"n_ctx": 3}],
    "word-prompt": [{"n_ctx": 2}],
}
SIZES = [(name, settings) for name in sorted(PLUGINS.plugins) for settings in ({}, *SETTINGS.get(name, ()))]


@pytest.mark.parametrize("on", ["native", "eva"])
@pytest.mark.parametrize(("name", "settings"), SIZES, ids=[f"{name} {s}" if s else name for name, s in SIZES])
def test_parameters_are_as_many_as_the_formula_says(backbones, on, name, settings):
    """``info.parameters`` in the names of the configuration and of the shapes."""
    info, (layers, width) = PLUGINS[name].cls.info, VISION[on]
    actual, config = size(name, backbones[on], **settings)
    shapes = {"C": 4, "N": 12, "d": 32, "d_t": 32, "d_v": width, "L_t": 2, "L_v": layers}
    formula = eval(info.parameters or "0", {"__builtins__": {}, "min": min, "len": len}, config.model_dump() | shapes)
    if (name, on) == ("bitfit", "eva"):  # the formula is of OpenAI's layout; here there are inner norms and a gated MLP
        hidden = backbones[on].model.visual.trunk.blocks[0].mlp.fc2.in_features
        formula = 2 * 10 * 32 + 32 + layers * (7 * width + 3 * hidden) + width
    assert formula == actual


PUBLISHED = [
    ("coop", {"n_ctx": 4}, 2_048),
    ("coop", {"n_ctx": 16}, 8_192),
    ("cocoop", {}, 35_360),
    ("kgcoop", {}, 2_048),
    ("maple", {}, 3_555_072),
    ("maple", {"depth": 3}, 1_185_024),
    ("vpt", {}, 73_728),
    ("ivlp", {}, 30_720),
    ("promptsrc", {}, 46_080),
    ("promptsrc", {"depth": 3}, 15_360),
    ("ivlp-text", {}, 24_576),
    ("clip-adapter", {}, 131_072),
    ("clip-lora", {}, 184_320),
    ("taskres", {}, 3 * 512),
    ("zs-lp", {}, 3 * 512),
    ("clap", {}, 3 * 512),
    ("coop-csc", {"n_ctx": 16}, 3 * 8_192),
    ("tip-adapter-f", {}, 12 * 512 + 2),
]
"""ViT-B/16's, section 4 of the reference, at the default settings but for those given. Tip-Adapter-F: and alpha and beta."""


@pytest.mark.slow
def test_published_numbers_of_parameters():
    """On a ViT-B/16 of random weights, with three classes."""
    backbone = Backbone.load("b16", BackboneSpec(model="ViT-B-16-quickgelu", pretrained="random"))
    classes = ClassList(("dog", "cat", "bird"))
    actual = {(name, *settings.items()): size(name, backbone, classes, **settings)[0] for name, settings, _ in PUBLISHED}
    assert actual == {(name, *settings.items()): number for name, settings, number in PUBLISHED}
