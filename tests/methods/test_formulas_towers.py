"""Deep prompts, LoRA, biases and norms against their formulas: logits, one step, and no traces in the backbone."""

from __future__ import annotations

import pytest
import torch
from fixtures.formulas import CLASSES, CLOSE, PLUGINS, VISION, build, cosine_logits, learnt, text_part, zero_shot_texts
from fixtures.tower_formulas import (
    CHANGES,
    EXACT,
    EXPECTED,
    PROMPTS,
    batch_for,
    check_logits,
    gradients,
    marks_of,
    one_step,
    pixels_of,
    promptsrc_terms,
)
from torch.nn import functional as F

from benchmark.backbones.clip import digest
from benchmark.data.features import Bank

CASES = [
    ("vpt", {"n_image": 3}),
    ("vpt", {"n_image": 1, "depth": 1}),
    ("vpt", {"n_image": 5, "depth": 3}),
    ("ivlp", {"n_ctx": 4, "n_image": 3}),
    ("ivlp", {"n_ctx": 4, "text_depth": 1, "image_depth": 2}),
    ("ivlp", {"n_ctx": 5, "text_depth": 2, "image_depth": 1}),
    ("ivlp", {"n_ctx": 4, "n_image": 0}),
    ("ivlp-text", {}),
    ("ivlp-text", {"text_depth": 1}),
    ("promptsrc", {}),
    ("promptsrc", {"depth": 1, "n_image": 2}),
    ("maple", {}),
    ("maple", {"n_ctx": 1}),
    ("maple", {"n_ctx": 4, "depth": 1}),
    ("maple", {"n_ctx": 6}),
    ("bitfit", {}),
    ("bitfit-text", {}),
    ("layernorm", {}),
    ("layernorm-text", {}),
    ("masked-lora", {}),
    ("masked-lora", {"rank": 3, "alpha": 4.0}),
    ("masked-lora-text", {}),
    ("clip-lora-text", {}),
    ("clip-lora-text", {"rank": 3, "roles": ("v", "out"), "position": "half-bottom"}),
    ("clip-lora-vision", {}),
    ("clip-lora-vision", {"alpha": 4.0, "roles": ("k", "out"), "position": "half-up"}),
]
every_case = pytest.mark.parametrize(("name", "settings"), CASES, ids=[f"{name} {s}" if s else name for name, s in CASES])


@every_case
def test_logits(backbone, pixels, labels, name, settings):
    check_logits(backbone, name, settings, pixels, labels)


@pytest.mark.parametrize("name", EXPECTED)
def test_needs_pixels_only_if_the_image_tower_changes(backbone, name):
    assert build(name, backbone).needs_pixels == (not name.endswith("text"))


@pytest.mark.parametrize("name", CHANGES)
def test_changes_are_of_the_towers_that_the_name_says(backbone, name):
    """And CLIP-LoRA's are of q, k and v in all layers, by default."""
    keys = [key.split(".")[-1] for key in learnt(build(name, backbone))]
    towers = {"text": {"text"}, "vision": {"vision"}}.get(name.rpartition("-")[2], {"text", "vision"})
    assert {key.split("_")[0] for key in keys} == towers
    if "lora" in name:
        layers = {"text": 2, "vision": VISION[backbone.name][0]}
        expected = {f"{tower}_{layer}_{role}" for tower in towers for layer in range(layers[tower]) for role in "qkv"}
        assert set(keys) == expected
        assert len(keys) == 2 * len(expected)


@pytest.mark.parametrize("depth", [2, 3, 9])
@pytest.mark.parametrize("name", PROMPTS)
def test_logits_with_several_deeper_prompts(deep, examples, labels, name, depth):
    """Each prompt before its own block; blocks beyond the depth let it flow."""
    depths = {"ivlp": ("text_depth", "image_depth"), "ivlp-text": ("text_depth",)}.get(name, ("depth",))
    settings = dict.fromkeys(depths, depth) | ({"n_ctx": 4} if name == "ivlp" else {})
    check_logits(deep, name, settings, pixels_of(deep, examples), labels)


@pytest.mark.parametrize("name", ["bitfit", "layernorm", "masked-lora", "clip-lora-vision"])
def test_logits_where_q_k_and_v_are_one_layer(stem, examples, labels, name):
    check_logits(stem, name, {}, pixels_of(stem, examples), labels)


def check_step(config, before, slopes, after):
    """The first step of SGD with momentum, w - lr (g + wd w), or of AdamW, w (1 - lr wd) - lr g / (|g| + eps)."""
    rate = config.lr
    for name, w in before.items():
        g = slopes[name]
        if config.optimizer == "sgd":
            expected = w - rate * (g + 5e-4 * w)
        else:
            expected = w * (1 - rate * 1e-2) - rate * g / (g.abs() + config.eps)
        assert (expected - w).abs().max() > 1e-4, name
        torch.testing.assert_close(after[name], expected, **EXACT, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("name", EXPECTED)
def test_one_step(backbone, features, pixels, labels, name):
    """Of cross-entropy, by the optimiser that the method has by default, and the backbone stays as it is."""
    settings = {"ivlp": {"n_ctx": 4}, "promptsrc": {"templates": "dataset"}}.get(name, {})
    settings |= {"dropout": 0.0} if "lora" in name else {}
    settings |= {"mask": 0.0, "skip": 0.0} if "masked" in name else {}
    state, marks = digest(backbone.model), marks_of(backbone)
    data = features if name.endswith("text") else pixels
    config, before, after = one_step(name, backbone, Bank(data[None], labels), **settings)
    assert config.optimizer == ("adamw" if name in CHANGES else "sgd")
    leaves = {key: value.requires_grad_() for key, value in before.items()}
    images, texts = EXPECTED[name](backbone, config, leaves, pixels)
    loss = F.cross_entropy(cosine_logits(backbone.model, images, texts), labels)
    if name == "promptsrc":
        loss = loss + sum(promptsrc_terms(backbone, images, texts, pixels, zero_shot_texts(backbone)))
    slopes = gradients(loss, leaves)
    with torch.no_grad():
        check_step(config, before, slopes, after)
    assert digest(backbone.model) == state
    assert marks_of(backbone) == marks


class Broken(Exception):
    """Raised in the middle of a tower."""


def fail(*_):
    raise Broken


@pytest.mark.parametrize("name", EXPECTED)
def test_nothing_is_left_behind_after_an_exception(backbone, features, pixels, labels, name):
    """No hook, no replaced forward and no raised number of prefix tokens, when a tower fails at its end."""
    settings = {"dropout": 0.0, "mask": 0.5, "skip": 0.5} if "masked" in name else {}
    method = build(name, backbone, **settings).train()
    batch, before = batch_for(method, features, pixels, labels), None
    with torch.no_grad():
        torch.manual_seed(0)
        undisturbed = method.logits(batch)
    timm = hasattr(backbone.model.visual, "trunk")
    image_end = backbone.model.visual.trunk.norm if timm else backbone.model.visual.ln_post
    before = marks_of(backbone)
    for end, run in ((text_part(backbone.model).ln_final, "class_features"), (image_end, "image_features")):
        trap = end.register_forward_hook(fail)
        reached = run == "image_features" or name not in ("vpt", "clip-lora-vision")
        if (run == "image_features" and not method.needs_pixels) or not reached:
            trap.remove()
            continue
        with pytest.raises(Broken):
            method.class_features() if run == "class_features" else method.image_features(batch)
        trap.remove()
        assert marks_of(backbone) == before
    with torch.no_grad():
        torch.manual_seed(0)
        assert torch.equal(method.logits(batch), undisturbed)


@pytest.mark.parametrize("name", CHANGES)
def test_changes_of_zero_change_nothing(backbone, features, pixels, labels, name):
    """As it starts, the method is zero-shot CLIP, and its changes are zero (LoRA: B is)."""
    cls = PLUGINS[name].cls
    method = cls(cls.Config(), backbone, CLASSES).double().eval()
    assert all(not value.any() for key, value in learnt(method).items() if not key.startswith("lora.down."))
    with torch.no_grad():
        expected = cosine_logits(backbone.model, features, zero_shot_texts(backbone))
        torch.testing.assert_close(method.logits(batch_for(method, features, pixels, labels)), expected, **CLOSE)
