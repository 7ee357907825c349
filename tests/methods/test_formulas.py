"""Each method against its formula, written out again with open_clip's modules.

Nothing of the plugins or the engine computes the expected values: only open_clip's modules and plain torch do.
"""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from fixtures.formulas import (
    CLASSES,
    CLOSE,
    PLUGINS,
    READABLE,
    VISION,
    build,
    cosine_logits,
    learnt,
    prompt_feature,
    text_part,
    zero_shot_texts,
)
from torch.nn import functional as F

from benchmark.data.batch import Batch
from benchmark.data.features import Bank, FeatureStore
from benchmark.training.loop import train

# --- zero-shot ----------------------------------------------------------------------------------------------------


def test_zero_shot(backbone, features, labels):
    method = build("zero-shot", backbone)
    with torch.no_grad():
        expected = cosine_logits(backbone.model, features, zero_shot_texts(backbone))
        torch.testing.assert_close(method.logits(Batch(labels, features=features)), expected, **CLOSE)


# --- CoOp ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_ctx", [1, 4, 6])
def test_coop(backbone, features, labels, n_ctx):
    method = build("coop", backbone, n_ctx=n_ctx)
    with torch.no_grad():
        context = learnt(method)["context"]
        assert context.shape == (n_ctx, 32)
        texts = torch.stack([prompt_feature(backbone, context, name) for name in READABLE])
        expected = cosine_logits(backbone.model, features, texts)
        torch.testing.assert_close(method.logits(Batch(labels, features=features)), expected, **CLOSE)


def test_coop_loss_is_cross_entropy(backbone, features, labels):
    method = build("coop", backbone)
    with torch.no_grad():
        texts = torch.stack([prompt_feature(backbone, learnt(method)["context"], name) for name in READABLE])
        logs = cosine_logits(backbone.model, features, texts).log_softmax(1)
        expected = -sum(logs[row, label] for row, label in enumerate(labels)) / len(labels)
        torch.testing.assert_close(method.loss(Batch(labels, features=features)), expected, **CLOSE)


def test_coop_starts_at_the_words(backbone):
    """M = 4 and "a photo of a" is four tokens: the context is their embeddings, and the prompt is the sentence itself."""
    cls = PLUGINS["coop"].cls
    method = cls(cls.Config(n_ctx=4), backbone, CLASSES)
    ids = backbone.tokenizer(["a photo of a"])[0, 1:5]
    assert torch.equal(learnt(method)["context"], text_part(backbone.model).token_embedding(ids).detach().float())
    with torch.no_grad():
        expected = backbone.model.encode_text(backbone.tokenizer([f"a photo of a {name}." for name in READABLE]))
        torch.testing.assert_close(method.double().class_features(), expected, **CLOSE)


@pytest.mark.parametrize(("words", "n_ctx"), [("", 4), ("a photo", 4), (None, 16)])
def test_coop_starts_at_random_where_the_words_are_too_few(backbone, words, n_ctx):
    """N(0, 0.02^2)."""
    cls = PLUGINS["coop"].cls
    torch.manual_seed(0)
    context = cls(cls.Config(n_ctx=n_ctx, init_words=words), backbone, CLASSES).context.detach()
    assert context.shape == (n_ctx, 32)
    assert 0.014 < float(context.std()) < 0.026


def test_coop_gradient_and_two_sgd_steps_by_hand(backbone, features, labels):
    """v <- 0.9 v + g + 0.0005 w, w <- w - lr v, with Dassl's cosine, on a full batch."""
    cls = PLUGINS["coop"].cls
    config = cls.Config(epochs=3, lr=0.05, warmup_epochs=1, warmup_lr=0.01, batch_size=len(labels), views=1)
    method = cls(config, backbone, CLASSES).double()
    with torch.no_grad():
        method.context.copy_(0.3 * torch.randn(4, 32, generator=torch.Generator().manual_seed(4)))
    weight = learnt(method)["context"].requires_grad_()
    velocity = torch.zeros_like(weight)
    for rate in (0.01, 0.05 * 0.5 * (1 + math.cos(0)), 0.05 * 0.5 * (1 + math.cos(math.pi / 3))):
        texts = torch.stack([prompt_feature(backbone, weight, name) for name in READABLE])
        loss = F.cross_entropy(cosine_logits(backbone.model, features, texts), labels)
        (gradient,) = torch.autograd.grad(loss, weight)
        velocity = 0.9 * velocity + gradient + 5e-4 * weight.detach()
        weight = (weight.detach() - rate * velocity).requires_grad_()
    train(method, Bank(features[None], labels), shots=3, seed=1)
    torch.testing.assert_close(learnt(method)["context"], weight.detach(), atol=1e-6, rtol=1e-5)


# --- CoCoOp -------------------------------------------------------------------------------------------------------


def cocoop_logits(backbone, method, features):
    """Image by image and class by class, as the official code's loop."""
    tensors = learnt(method)
    rows = []
    for feature in features:
        hidden = tensors["meta_net.0.weight"] @ (feature / feature.norm()) + tensors["meta_net.0.bias"]
        shift = tensors["meta_net.2.weight"] @ hidden.clamp(min=0) + tensors["meta_net.2.bias"]
        texts = torch.stack([prompt_feature(backbone, tensors["context"] + shift, name) for name in READABLE])
        rows.append(cosine_logits(backbone.model, feature[None], texts)[0])
    return torch.stack(rows)


@pytest.mark.parametrize("rows", [1024, 8, 1])
def test_cocoop(backbone, features, labels, rows):
    """``rows`` bounds memory and changes nothing."""
    method = build("cocoop", backbone, rows=rows)
    with torch.no_grad():
        expected = cocoop_logits(backbone, method, features)
        assert expected.std() > 0.1
        torch.testing.assert_close(method.logits(Batch(labels, features=features)), expected, **CLOSE)


def test_cocoop_loss(backbone, features, labels):
    method = build("cocoop", backbone)
    with torch.no_grad():
        expected = F.cross_entropy(cocoop_logits(backbone, method, features), labels)
        torch.testing.assert_close(method.train().loss(Batch(labels, features=features)), expected, **CLOSE)


# --- ContCoOp -----------------------------------------------------------------------------------------------------


def contcoop_texts(backbone, method):
    """Class by class: v + softmax(Q(v) K(e_c)^T / sqrt(a)) V(e_c) O over the tokens of the bare name."""
    tensors = learnt(method)
    embedding = text_part(backbone.model).token_embedding
    actual = []
    for name in READABLE:
        own = embedding(torch.tensor(backbone.tokenizer.encode(name)))
        query, key = tensors["context"] @ tensors["query.weight"].T, own @ tensors["key.weight"].T
        value = own @ tensors["value.weight"].T
        weights = torch.softmax(query @ key.T / math.sqrt(key.shape[1]), dim=1)
        actual.append(prompt_feature(backbone, tensors["context"] + weights @ value @ tensors["out.weight"].T, name))
    return torch.stack(actual)


@pytest.mark.parametrize("width", [None, 5])
def test_contcoop(backbone, features, labels, width):
    method = build("contcoop", backbone, width=width)
    with torch.no_grad():
        texts = contcoop_texts(backbone, method)
        plain = torch.stack([prompt_feature(backbone, learnt(method)["context"], name) for name in READABLE])
        assert (texts - plain).abs().max() > 0.1  # the attention has a say
        expected = cosine_logits(backbone.model, features, texts)
        torch.testing.assert_close(method.logits(Batch(labels, features=features)), expected, **CLOSE)


def test_contcoop_without_attention_is_coop(backbone, features, labels):
    method, coop = build("contcoop", backbone, attention=False), build("coop", backbone)
    assert set(learnt(method)) == {"context"}
    coop.load(learnt(method))
    batch = Batch(labels, features=features)
    with torch.no_grad():
        assert torch.equal(method.logits(batch), coop.logits(batch))


def test_contcoop_starts_as_coop(backbone, features, labels):
    one, other = PLUGINS["contcoop"].cls, PLUGINS["coop"].cls
    batch = Batch(labels, features=features)
    with torch.no_grad():
        first = one(one.Config(), backbone, CLASSES).double().eval().logits(batch)
        second = other(other.Config(), backbone, CLASSES).double().eval().logits(batch)
    torch.testing.assert_close(first, second, **CLOSE)


@pytest.mark.parametrize(("weight", "temperature"), [(0.0, 1.0), (1.0, 1.0), (2.5, 3.0)])
def test_contcoop_loss(backbone, features, labels, weight, temperature):
    """Cross-entropy + lambda T^2 mean_b sum_c p0 (log p0 - log p), p0 the zero-shot predictions at temperature T."""
    method = build("contcoop", backbone, kd_weight=weight, temperature=temperature)
    with torch.no_grad():
        own = cosine_logits(backbone.model, features, contcoop_texts(backbone, method))
        teacher = cosine_logits(backbone.model, features, zero_shot_texts(backbone))
        p0, p = (teacher / temperature).softmax(1), (own / temperature).softmax(1)
        divergence = (p0 * (p0.log() - p.log())).sum(1).mean()
        entropy = -own.log_softmax(1)[torch.arange(len(labels)), labels].mean()
        expected = entropy + weight * temperature**2 * divergence
        assert divergence > 0.01
        torch.testing.assert_close(method.loss(Batch(labels, features=features)), expected, atol=1e-5, rtol=1e-5)


# --- CLIP-Adapter -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ratio", [0.2, 0.0, 0.9])
def test_clip_adapter(backbone, features, labels, ratio):
    """f' = r relu(W2 relu(W1 f)) + (1 - r) f on features that are not normalised."""
    method = build("clip-adapter", backbone, ratio=ratio)
    first, second = (learnt(method)[f"adapter.{place}.weight"] for place in (0, 2))
    with torch.no_grad():
        adapted = ((features @ first.T).clamp(min=0) @ second.T).clamp(min=0)
        expected = cosine_logits(backbone.model, ratio * adapted + (1 - ratio) * features, zero_shot_texts(backbone))
        torch.testing.assert_close(method.logits(Batch(labels, features=features)), expected, **CLOSE)
    assert not any(name.endswith("bias") for name in learnt(method))


# --- CLIP-LoRA ----------------------------------------------------------------------------------------------------


def with_lora(model, tensors, scale):
    """A copy of the model whose own weights have scale * B A added."""
    merged = copy.deepcopy(model)
    for key in {name.split(".", 2)[2] for name in tensors}:
        tower, layer, role = key.split("_")
        change = scale * tensors[f"lora.up.{key}"] @ tensors[f"lora.down.{key}"]
        if tower == "text":
            attention = text_part(merged).transformer.resblocks[int(layer)].attn
        elif hasattr(merged.visual, "trunk"):
            attention = merged.visual.trunk.blocks[int(layer)].attn
        else:
            attention = merged.visual.transformer.resblocks[int(layer)].attn
        with torch.no_grad():
            if not hasattr(attention, "in_proj_weight"):
                linear = attention.proj if role == "out" else getattr(attention, f"{role}_proj")
                linear.weight += change
            elif role == "out":
                attention.out_proj.weight += change
            else:
                start = "qkv".index(role) * attention.embed_dim
                attention.in_proj_weight[start : start + attention.embed_dim] += change
    return merged


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"encoder": "text", "rank": 3},
        {"encoder": "vision", "alpha": 4.0},
        {"roles": ("q", "v", "out"), "position": "half-up"},
    ],
    ids=["defaults", "text", "vision", "half-up with out"],
)
def test_clip_lora(backbone, examples, labels, settings):
    """W' = W + (alpha / sqrt(r)) B A, in the packed rows of open_clip's attention and in EVA's separate layers."""
    method = build("clip-lora", backbone, **settings)
    rank, alpha = settings.get("rank", 2), settings.get("alpha", 1.0)
    merged = with_lora(backbone.model, learnt(method), alpha / math.sqrt(rank))
    pixels = torch.stack([backbone.transform(examples.images[row]) for row in range(len(examples))])
    with torch.no_grad():
        texts = zero_shot_texts(backbone, merged)
        expected = cosine_logits(merged, merged.encode_image(pixels), texts)
        plain = cosine_logits(backbone.model, backbone.model.encode_image(pixels), zero_shot_texts(backbone))
        assert (expected - plain).abs().max() > 0.05
        actual = method.logits(Batch(labels, pixels=pixels))
        torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)


def test_clip_lora_starts_as_zero_shot(backbone, examples, labels):
    cls = PLUGINS["clip-lora"].cls
    method = cls(cls.Config(), backbone, CLASSES).double().eval()
    assert all(not value.any() for name, value in learnt(method).items() if name.startswith("lora.up."))
    assert all(value.abs().max() <= 1 / math.sqrt(value.shape[1]) for n, value in learnt(method).items() if n[:4] == "down")
    pixels = torch.stack([backbone.transform(examples.images[row]) for row in range(len(examples))])
    with torch.no_grad():
        expected = cosine_logits(backbone.model, backbone.model.encode_image(pixels), zero_shot_texts(backbone))
        torch.testing.assert_close(method.logits(Batch(labels, pixels=pixels)), expected, **CLOSE)


@pytest.mark.parametrize(
    ("position", "expected"),
    [
        ("all", range(12)),
        ("bottom", range(4)),
        ("mid", range(4, 8)),
        ("up", range(8, 12)),
        ("half-bottom", range(6)),
        ("half-up", range(6, 12)),
        ("top3", range(9, 12)),
    ],
)
def test_clip_lora_positions_on_twelve_layers(backbones, position, expected, monkeypatch):
    """The sets of layers of the official code."""
    cls = PLUGINS["clip-lora"].cls
    names = cls.build.__globals__  # the plugin's own module, however often the folder was read since
    real = names["projections"](backbones["native"], "text")
    twelve = [replace(site, layer=layer) for layer in range(12) for site in real[:4]]
    monkeypatch.setitem(names, "tower", lambda *_: SimpleNamespace(blocks=range(12)))
    monkeypatch.setitem(names, "projections", lambda *_: twelve)
    method = cls(cls.Config(encoder="text", position=position), backbones["native"], CLASSES)
    assert sorted({site.layer for site in method.sites}) == list(expected)
    assert {site.role for site in method.sites} == {"q", "k", "v"}


def test_clip_lora_dropout_is_on_the_input_and_only_in_training(backbones, examples, labels):
    method = build("clip-lora", backbones["native"], encoder="text", dropout=0.5).float()
    pixels = torch.stack([backbones["native"].transform(examples.images[row]) for row in range(len(examples))])
    batch = Batch(labels, pixels=pixels)
    with torch.no_grad():
        still = [method.eval().logits(batch) for _ in range(2)]
        moving = [method.train().logits(batch) for _ in range(2)]
    assert torch.equal(*still)
    assert not torch.allclose(*moving)


def test_clip_lora_first_adamw_step_by_hand(backbone, examples, labels):
    """w <- w (1 - lr wd) - lr g / (|g| + eps): the first step of AdamW; A has no gradient while B is zero."""
    cls = PLUGINS["clip-lora"].cls
    config = cls.Config(dropout=0.0, steps_per_shot=1, batch_size=len(labels), lr=1e-3, views=1)
    torch.manual_seed(0)
    method = cls(config, backbone, CLASSES).double()
    before = learnt(method)
    pixels = torch.stack([backbone.transform(examples.images[row]) for row in range(len(examples))])
    leaves = {name: value.clone().requires_grad_() for name, value in before.items()}
    merged = copy.deepcopy(backbone.model)
    site = "text_0_v"
    weight = text_part(merged).transformer.resblocks[0].attn.in_proj_weight.detach()
    change = torch.zeros_like(weight)
    change[64:] = leaves[f"lora.up.{site}"] @ leaves[f"lora.down.{site}"] / math.sqrt(2)
    changed = {"in_proj_weight": weight + change}
    attention = text_part(merged).transformer.resblocks[0].attn
    del attention.in_proj_weight
    attention.in_proj_weight = changed["in_proj_weight"]
    loss = F.cross_entropy(
        cosine_logits(merged, merged.encode_image(pixels).detach(), zero_shot_texts(backbone, merged)), labels
    )
    (gradient,) = torch.autograd.grad(loss, leaves[f"lora.up.{site}"])
    train(method, Bank(pixels[None], labels), shots=1, seed=1)
    after = learnt(method)
    expected = -1e-3 * gradient / (gradient.abs() + 1e-8)
    large = gradient.abs() > 1e-5
    assert large.float().mean() > 0.5
    torch.testing.assert_close(after[f"lora.up.{site}"][large], expected[large], atol=1e-8, rtol=1e-3)
    decayed = before[f"lora.down.{site}"] * (1 - 1e-3 * 1e-2)
    torch.testing.assert_close(after[f"lora.down.{site}"], decayed, atol=1e-7, rtol=1e-6)


# --- sizes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("on", ["native", "eva"])
def test_numbers_of_parameters(backbones, on):
    """Section 4 of the reference: d = d_t = 32, M = 4."""
    layers, width = VISION[on]
    expected = {
        "zero-shot": 0,
        "coop": 4 * 32,
        "cocoop": 4 * 32 + (32 * 2 + 2) + (2 * 32 + 32),
        "contcoop": 4 * 32 + 4 * 32 * 32,
        "clip-adapter": 2 * 32 * 8,
        "clip-lora": 2 * 3 * (32 + 32) * 2 + layers * 3 * (width + width) * 2,
    }
    actual = {}
    for name in expected:
        cls = PLUGINS[name].cls
        actual[name] = sum(p.numel() for p in cls(cls.Config(), backbones[on], CLASSES).parameters())
    assert actual == expected


def test_the_plain_bank_has_the_features_of_the_formulas(backbone, examples, features):
    """So that the tests above are about what the engine feeds to the methods."""
    bank = FeatureStore(None).testing(backbone, examples, pixels=False)
    torch.testing.assert_close(bank.views[0], features.float(), **CLOSE)
