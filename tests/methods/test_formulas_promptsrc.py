"""PromptSRC: its loss, its target and its average over training."""

from __future__ import annotations

import math

import open_clip
import pytest
import torch
from fixtures.formulas import CLASSES, CLOSE, PLUGINS, READABLE, build, cosine_logits, learnt, zero_shot_texts
from fixtures.tower_formulas import by_ivlp, pixels_of, promptsrc_terms, unit
from torch.nn import functional as F

from benchmark.data.batch import Batch, ClassList
from benchmark.data.features import Bank
from benchmark.training.loop import train


@pytest.mark.parametrize(
    "weights", [(25.0, 10.0, 1.0), (0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)], ids=str
)
def test_promptsrc_loss(backbone, pixels, labels, weights):
    """L = L_ce + 25 L_text + 10 L_image + L_logits: together with the official weights, and each by itself."""
    given = dict(zip(("text_weight", "image_weight", "logit_weight"), weights, strict=True))
    settings = {} if weights == (25.0, 10.0, 1.0) else given
    method = build("promptsrc", backbone, templates="dataset", **settings)
    with torch.no_grad():
        images, texts = by_ivlp(backbone, method.config, learnt(method), pixels)
        terms = promptsrc_terms(backbone, images, texts, pixels, zero_shot_texts(backbone), weights)
        assert all(term > 0.01 * weight for term, weight in zip(terms, weights, strict=True) if weight)
        logs = cosine_logits(backbone.model, images, texts).log_softmax(1)
        expected = -logs[torch.arange(len(labels)), labels].mean() + sum(terms)
        for mode in (True, False):
            torch.testing.assert_close(method.train(mode).loss(Batch(labels, pixels=pixels)), expected, **CLOSE)


@pytest.mark.parametrize("which", ["imagenet-60", "imagenet-80", "dataset"])
def test_promptsrc_target_is_the_mean_of_raw_features(backbone, pixels, labels, which, monkeypatch):
    """t0 = mean of t over templates, not normalised before; those of ImageNet, or the data set's own."""
    few = [lambda name: f"a photo of a {name}.", lambda name: f"{name}", lambda name: f"an icon of {name}, x."]
    names = PLUGINS["promptsrc"].cls.build.__globals__  # the tiny tokenizer has no room for most of the 80
    official = [fill("cat") for fill in open_clip.OPENAI_IMAGENET_TEMPLATES]
    assert [fill("cat") for fill in names["OPENAI_IMAGENET_TEMPLATES"]] == official
    room = few[:2] * 29 + [few[0], few[2]] if which == "imagenet-60" else few  # 60, and then others
    others = [lambda name: f"no {name}"] * 20
    monkeypatch.setitem(names, "OPENAI_IMAGENET_TEMPLATES", room + others if which == "imagenet-60" else room)
    classes = ClassList(CLASSES.names, CLASSES.template, CLASSES.context_words, ("a red {}.", "x {}"))
    method = build("promptsrc", backbone, classes=classes, templates=which)
    assert type(method).Config().templates == "imagenet-60"
    three = ["a photo of a {}.", "{}", "an icon of {}, x."]
    sentences = {
        "imagenet-60": three[:2] * 29 + [three[0], three[2]],
        "imagenet-80": three,
        "dataset": ["an icon of a {}.", "a red {}.", "x {}"],
    }[which]
    with torch.no_grad():
        features = [
            backbone.model.encode_text(backbone.tokenizer([sentence.format(name) for name in READABLE]))
            for sentence in sentences
        ]
        texts0 = sum(features) / len(sentences)
        assert not torch.allclose(unit(texts0), unit(sum(unit(one) for one in features)), atol=1e-4)
        images, texts = by_ivlp(backbone, method.config, learnt(method), pixels)
        terms = promptsrc_terms(backbone, images, texts, pixels, texts0)
        expected = F.cross_entropy(cosine_logits(backbone.model, images, texts), labels) + sum(terms)
        torch.testing.assert_close(method.loss(Batch(labels, pixels=pixels)), expected, **CLOSE)


@pytest.mark.parametrize(
    ("every", "length", "mean", "std"),
    [("epoch", {"epochs": 4}, 2.0, 1.0), ("epoch", {"epochs": 2}, 15.0, 1.0), ("step", {"steps": 5}, 3.5, 1.5)],
)
def test_promptsrc_average(backbones, examples, labels, every, length, mean, std):
    """theta = sum_e w_e theta_e, w_e = N(e; mean, std) normalised, e from 1: over what training alone would have passed."""
    backbone = backbones["native"]
    bank = Bank(pixels_of(backbone, examples)[None], labels)
    common = {"templates": "dataset", "batch_size": 4, "warmup_epochs": 0, "views": 1, "lr": 0.05}
    how = {"average_every": every, "average_mean": mean, "average_std": std}
    plain, averaged = (build("promptsrc", backbone, **common, **length, **how).float() for _ in range(2))
    iterates = []
    plain.after_step = lambda step, steps, per_epoch: iterates.append(learnt(plain))
    train(plain, bank, shots=3, seed=1)
    train(averaged, bank, shots=3, seed=1)
    kept = iterates[2::3] if every == "epoch" else iterates  # three steps an epoch
    assert len(kept) == next(iter(length.values()))
    weights = [math.exp(-((number - mean) ** 2) / (2 * std**2)) for number in range(1, len(kept) + 1)]
    for key, actual in averaged.tensors().items():
        expected = sum(weight * one[key].double() for weight, one in zip(weights, kept, strict=True)) / sum(weights)
        torch.testing.assert_close(actual.double(), expected, atol=1e-6, rtol=1e-5)
    last = plain.tensors()
    differences = [float((actual - last[key]).abs().max()) for key, actual in averaged.tensors().items()]
    assert min(differences) > (1e-3 if len(kept) > 2 else 0)  # around epoch 15, the last of two has nearly all the weight
    with torch.no_grad():  # and it is the average that classifies
        batch = Batch(labels, pixels=bank.views[0])
        images, texts = by_ivlp(backbone, averaged.config, learnt(averaged), bank.views[0])
        expected = cosine_logits(backbone.model, images, texts)
        torch.testing.assert_close(averaged.logits(batch), expected, atol=1e-3, rtol=1e-3)
        assert len(kept) == 2 or not torch.allclose(plain.logits(batch), expected, atol=1e-2)
