"""ContCoOp's attention: the variants that attend, against their formulas, and weights at the widths of real text towers."""

from __future__ import annotations

import math

import pytest
import torch
from fixtures.formulas import (
    CLOSE,
    PLUGINS,
    READABLE,
    build,
    cosine_logits,
    learnt,
    prompt_feature,
    text_part,
    zero_shot_texts,
)
from fixtures.tower_formulas import EXACT, gradients, one_step
from torch.nn import functional as F

from benchmark.backbones.clip import Backbone
from benchmark.config.schema import BackboneSpec
from benchmark.data.batch import Batch
from benchmark.data.features import Bank, FeatureStore
from benchmark.training.checks import tiny_clips
from benchmark.training.loop import train
from benchmark.training.modules import build_method

VARIANTS = ("contcoop-normalised", "contcoop-names")


def standard(x):
    """Mean 0, variance 1 of every row."""
    return (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True, unbiased=False) + 1e-5).sqrt()


def texts_of(name, backbone, tensors):
    """Class by class and token by token."""
    table = text_part(backbone.model).token_embedding.weight.detach()
    middle = table.mean(0)
    size = (table - middle).norm(dim=1).mean() / math.sqrt(table.shape[1])
    words = table[torch.tensor(backbone.tokenizer.encode("a photo of a"))]
    context = words + tensors["offset"]
    found = []
    for readable in READABLE:
        own = table[torch.tensor(backbone.tokenizer.encode(readable))]
        rows = []
        for vector in context:
            query = standard(standard(vector - middle) @ tensors["query.weight"].T)
            keys = [standard(standard(token - middle) @ tensors["key.weight"].T) for token in own]
            weights = torch.softmax(torch.stack([query @ key for key in keys]) / math.sqrt(len(query)), 0)
            if name == "contcoop-names":
                mixed = sum(w * (token - middle) for w, token in zip(weights, own, strict=True))
                rows.append(vector + tensors["share"][len(rows), 0] * mixed)
            else:
                values = [standard(token - middle) @ tensors["value.weight"].T for token in own]
                mixed = sum(w * value for w, value in zip(weights, values, strict=True))
                rows.append(vector + size * mixed @ tensors["out.weight"].T)
        found.append(prompt_feature(backbone, torch.stack(rows), readable))
    return torch.stack(found)


@pytest.mark.parametrize("name", VARIANTS)
def test_formula(name, backbone, features, labels):
    method = build(name, backbone)
    with torch.no_grad():
        expected = cosine_logits(backbone.model, features, texts_of(name, backbone, learnt(method)))
        torch.testing.assert_close(method.logits(Batch(labels, features=features)), expected, **CLOSE)


@pytest.mark.parametrize("name", VARIANTS)
def test_one_step(name, backbone, features, labels):
    """SGD with momentum on cross-entropy and the divergence from zero-shot."""
    config, before, after = one_step(name, backbone, Bank(features[None], labels))
    leaves = {key: value.requires_grad_() for key, value in before.items()}
    logits = cosine_logits(backbone.model, features, texts_of(name, backbone, leaves))
    with torch.no_grad():
        teacher = cosine_logits(backbone.model, features, zero_shot_texts(backbone)).log_softmax(1)
    divergence = (teacher.exp() * (teacher - logits.log_softmax(1))).sum(1).mean()
    slopes = gradients(F.cross_entropy(logits, labels) + divergence, leaves)
    with torch.no_grad():
        for key, value in before.items():
            expected = value - config.lr * (slopes[key] + 5e-4 * value)
            torch.testing.assert_close(after[key], expected, **EXACT, msg=lambda text, key=key: f"{key}: {text}")


@pytest.fixture(scope="module")
def wide(request, tmp_path_factory) -> Backbone:
    """A text tower of a real width, and token embeddings of the size that OpenAI's have."""
    width = request.param
    text = {"width": width, "heads": width // 64, "layers": 2, "context_length": 24}
    config = {**tiny_clips.CONFIGS["native"], "text_cfg": text}
    folder = tiny_clips.write(tmp_path_factory.mktemp("wide") / str(width), config, seed=3, scale=30.0)
    backbone = Backbone.load("wide", BackboneSpec(model=f"local-dir:{folder}"))
    with torch.no_grad():
        backbone.text.token_embedding.weight.normal_(std=0.02, generator=torch.Generator().manual_seed(1))
        backbone.text.positional_embedding.normal_(std=0.01, generator=torch.Generator().manual_seed(2))
    return backbone


def trained(name, backbone, **settings):
    """After 60 steps on names of one to three tokens; and the training images."""
    task, store = tiny_clips.task(), FeatureStore(None)
    cls = PLUGINS[name].cls
    config = cls.Config(**{**cls.presets["small"], "steps": 60, "views": 1, "batch_size": 12, **settings})
    method = build_method(cls, config, backbone, task, store)
    bank = store.training(backbone, task.train, task.augmentation, 1, pixels=False)
    train(method, bank, shots=3, seed=1)
    return method, bank.all()


def distance(method):
    """Mean total variation of attention from uniform, over the names of several tokens: 0 to 1."""
    several = method.is_name.sum(1) > 1
    assert several.any()
    uniform = method.is_name / method.is_name.sum(1, keepdim=True)
    with torch.no_grad():
        return float((method.attention_weights() - uniform[:, None])[several].abs().sum(-1).mean() / 2)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "wide"), [("contcoop-names", 512), ("contcoop-normalised", 768)], indirect=["wide"])
def test_weights_at_real_widths_differ_from_a_mean_and_decide(name, wide, monkeypatch):
    method, batch = trained(name, wide)
    assert distance(method) > 0.1
    with torch.no_grad():
        own = method.logits(batch)
        uniform = (method.is_name / method.is_name.sum(1, keepdim=True))[:, None].expand(-1, method.config.n_ctx, -1)
        monkeypatch.setattr(method, "attention_weights", lambda: uniform)
        method._cached_classes = None
        averaged = method.logits(batch)
    assert (own.softmax(1) - averaged.softmax(1)).abs().max() > 0.01


@pytest.mark.slow
@pytest.mark.parametrize("wide", [512], indirect=True)
def test_the_papers_attention_stays_a_mean(wide):
    """Its scores are near zero, because the embeddings are small."""
    method, _ = trained("contcoop", wide)
    assert distance(method) < 0.01
