"""Masked LoRA against LoRA and its formula."""

from __future__ import annotations

import math

import pytest
import torch
from fixtures.formulas import CLASSES, CLOSE, VISION, build, cosine_logits, learnt, zero_shot_texts
from fixtures.tower_formulas import EXACT, SEED, added, batch_for, gradients, low_rank, marks_of, name_of, one_step, put
from torch.nn import functional as F

from benchmark.data.batch import Batch, ClassList
from benchmark.data.features import Bank
from benchmark.training.loop import derive_seed

PLAIN = {"masked-lora": "clip-lora", "masked-lora-text": "clip-lora-text"}


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize(
    ("training", "settings", "same"),
    [
        (False, {"mask": 0.5, "skip": 0.5}, True),
        (True, {"mask": 0.0, "skip": 0.0}, True),
        (True, {"mask": 0.3, "skip": 0.0}, False),
        (True, {"mask": 0.0, "skip": 0.9}, False),
    ],
    ids=["testing", "training without masks", "units", "whole layers"],
)
def test_masked_lora_is_lora(backbone, features, pixels, labels, name, training, settings, same):
    """But for its masks, and these are there in training only."""
    masked = build(name, backbone, dropout=0.0, **settings).train(training)
    plain = build(PLAIN[name], backbone, dropout=0.0).train(training)
    plain.load(learnt(masked))
    batch, marks = batch_for(masked, features, pixels, labels), marks_of(backbone)
    with torch.no_grad():
        torch.manual_seed(0)
        actual, expected = masked.logits(batch), plain.logits(batch)
    assert torch.allclose(actual, expected, atol=1e-9, rtol=0) == same
    assert marks_of(backbone) == marks


def masked_model(backbone, config, tensors, seed):
    """A copy with W' = W + alpha / sqrt(r) B A, and the last layer of each MLP without the columns of silent units, or zero.

    The random numbers are drawn as the method does: image tower first; for each block one a hidden unit, then one.
    """
    model, drawn = backbone.model, []
    made = added(model, low_rank(tensors, config.alpha / math.sqrt(config.rank)))
    torch.manual_seed(seed)
    for tower in ("vision", "text") if any("vision" in name for name in tensors) else ("text",):
        for layer in range(2 if tower == "text" else VISION[backbone.name][0]):
            weight, bias = (name_of(model, f"{tower}_{layer}_mlp_out_{kind}")[0] for kind in ("weight", "bias"))
            kept = torch.rand(model.get_parameter(weight).shape[1]) >= config.mask
            skipped = bool(torch.rand(()) < config.skip)
            drawn.append((float(kept.double().mean()), skipped))
            made[weight] = model.get_parameter(weight) * kept * (not skipped)
            made[bias] = model.get_parameter(bias) * (not skipped)
    return put(model, made), drawn


@pytest.mark.parametrize("name", PLAIN)
def test_masked_lora_step_with_masks(backbone, features, pixels, labels, name):
    """One step under given masks: hidden units silent with probability p, no rescaling, whole MLPs skipped with q."""
    bank = Bank((features if name.endswith("text") else pixels)[None], labels)
    config, before, after = one_step(name, backbone, bank, dropout=0.0, mask=0.3, skip=0.4)
    leaves = {key: value.requires_grad_() for key, value in before.items()}
    made, drawn = masked_model(backbone, config, leaves, derive_seed("noise", SEED))
    assert all(0.5 < share < 0.9 for share, _ in drawn)
    assert {skipped for _, skipped in drawn} == {True, False}
    logits = cosine_logits(backbone.model, made.encode_image(pixels), zero_shot_texts(backbone, made))
    slopes = gradients(F.cross_entropy(logits, labels), leaves)
    with torch.no_grad():
        for key, w in before.items():
            expected = w * (1 - config.lr * 1e-2) - config.lr * slopes[key] / (slopes[key].abs() + config.eps)
            torch.testing.assert_close(after[key], expected, **EXACT)


def test_masked_lora_draws_new_masks_in_each_step(backbone, features, labels):
    """And all of one step's classes see the same masks: the logits of a class do not depend on the others there are."""
    settings = {"dropout": 0.0, "mask": 0.3, "skip": 0.0}
    method = build("masked-lora-text", backbone, **settings).train()
    batch = Batch(labels, features=features)
    fewer = build("masked-lora-text", backbone, classes=ClassList(("cat", "lorry"), CLASSES.template), **settings)
    fewer.load(learnt(method))
    with torch.no_grad():
        torch.manual_seed(1)
        first, second = method.logits(batch), method.logits(batch)
        torch.manual_seed(1)
        again = fewer.train().logits(batch)
    assert not torch.allclose(first, second, atol=1e-2)
    torch.testing.assert_close(again, first[:, [1, 3]], **CLOSE)
