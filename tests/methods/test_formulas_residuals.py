"""TaskRes, ZS-LP and CLAP against their formulas.

As in ``test_formulas``, only open_clip's modules and plain torch compute the expected values. A training step is compared
with the first step of its optimiser, written out: SGD w - lr (g + wd w), Adam w - lr g' / (|g'| + eps) with g' = g + wd w,
AdamW w (1 - lr wd) - lr g / (|g| + eps).
"""

from __future__ import annotations

import math

import pytest
import torch
from fixtures.formulas import (
    CLASSES,
    CLOSE,
    ENSEMBLES,
    OWN,
    PLUGINS,
    STEP,
    WIDTH,
    base,
    build,
    check_step,
    cosine_logits,
    drawn,
    ensemble,
    entropy,
    learnt,
    leaves,
    normal_base,
    sgd,
    with_images,
)

from benchmark.data.batch import Batch, ClassList


@pytest.mark.parametrize("given", list(ENSEMBLES))
@pytest.mark.parametrize("scale", [0.5, 1.0])
def test_taskres(backbone, features, labels, given, scale):
    """t = B + alpha R, B the raw mean over the ensemble and the data set's own template."""
    templates, expected = ENSEMBLES[given]
    method = build("taskres", backbone, classes=ensemble(templates), scale=scale)
    batch = Batch(labels, features=features)
    with torch.no_grad():
        residual = learnt(method)["residual"]
        logits = cosine_logits(backbone.model, features, base(backbone, expected) + scale * residual)
        torch.testing.assert_close(method.logits(batch), logits, **CLOSE)
        torch.testing.assert_close(method.loss(batch), entropy(logits, labels), **CLOSE)
        if templates:
            for wrong in (base(backbone), base(backbone, (*templates, OWN, OWN)), normal_base(backbone, expected)):
                others = cosine_logits(backbone.model, features, wrong + scale * residual)
                assert (others - logits).abs().max() > 1e-3


def test_taskres_starts_as_the_mean_of_the_texts(backbone):
    """R = 0, alpha = 0.5."""
    cls = PLUGINS["taskres"].cls
    method = cls(cls.Config(), backbone, CLASSES)
    assert not method.residual.any()
    assert method.config.scale == 0.5
    torch.testing.assert_close(method.double().class_features().detach(), base(backbone), **CLOSE)


@pytest.mark.parametrize("settings", [{}, {"eps": 0.05}, {"eps": 0.05, "weight_decay": 0.3}], ids=str)
def test_taskres_step(backbone, features, labels, settings):
    """Adam's first: g' = g + wd R, R - lr g' / (|g'| + eps). A large eps shows the size of g', a large wd the decay."""
    method = build("taskres", backbone, lr=0.05, **settings, **STEP)
    residual = leaves(method)["residual"]
    loss = entropy(cosine_logits(backbone.model, features, base(backbone) + 0.5 * residual), labels)
    (gradient,) = torch.autograd.grad(loss, residual)
    residual = residual.detach()
    decayed = gradient + settings.get("weight_decay", 5e-4) * residual
    expected = residual - 0.05 * decayed / (decayed.abs() + settings.get("eps", 1e-8))
    check_step(method, features, labels, {"residual": expected})


@pytest.mark.parametrize("name", ["taskres", "zs-lp", "clap"])
def test_residuals_are_added_to_the_other_backbone_s_own_texts(backbone, other, name):
    """Carried to another backbone: B' + alpha R (alpha = 1 for the prototypes) with the B' of that backbone."""
    method = build(name, backbone)
    moved = build(name, other, seed=1)
    moved.load(method.tensors())
    (carried,) = (value.double() for value in method.tensors().values())
    images = drawn(5, WIDTH, seed=8)
    with torch.no_grad():
        expected = cosine_logits(other.model, images, base(other) + (0.5 if name == "taskres" else 1.0) * carried)
        actual = moved.logits(Batch(torch.zeros(5, dtype=torch.long), features=images))
    torch.testing.assert_close(actual, expected, **CLOSE)


@pytest.mark.parametrize("name", ["zs-lp", "clap"])
@pytest.mark.parametrize("given", list(ENSEMBLES))
def test_prototypes(backbone, features, labels, name, given):
    """s cos(f, t + change), t the raw mean over the ensemble and the data set's own template."""
    templates, expected = ENSEMBLES[given]
    method = build(name, backbone, classes=ensemble(templates))
    with torch.no_grad():
        change = learnt(method)["change"]
        logits = cosine_logits(backbone.model, features, base(backbone, expected) + change)
        torch.testing.assert_close(method.logits(Batch(labels, features=features)), logits, **CLOSE)
        if templates:
            for wrong in (base(backbone), base(backbone, (*templates, OWN, OWN)), normal_base(backbone, expected)):
                others = cosine_logits(backbone.model, features, wrong + change)
                assert (others - logits).abs().max() > 1e-3


@pytest.mark.parametrize("name", ["zs-lp", "clap"])
def test_prototypes_start_at_the_texts(backbone, name):
    cls = PLUGINS[name].cls
    method = cls(cls.Config(), backbone, CLASSES)
    assert not method.change.any()
    torch.testing.assert_close(method.double().class_features().detach(), base(backbone), **CLOSE)


def test_zs_lp_loss_and_step(backbone, features, labels):
    """Cross-entropy; SGD without decay."""
    method = build("zs-lp", backbone, lr=0.5, **STEP)
    change = leaves(method)["change"]
    loss = entropy(cosine_logits(backbone.model, features, base(backbone) + change), labels)
    torch.testing.assert_close(method.loss(Batch(labels, features=features)), loss, **CLOSE)
    (gradient,) = torch.autograd.grad(loss, change)
    check_step(method, features, labels, {"change": sgd(change, gradient, 0.5, decay=0.0)})


def multipliers(backbone, views, labels, texts):
    """lambda_c, image by image: the mean of softmax_c(s cos(f, t)) over the views of the training images of class c."""
    totals, counts = [0.0] * 4, [0] * 4
    for view in views:
        for feature, label in zip(view, labels.tolist(), strict=True):
            scores = [math.exp(z) for z in cosine_logits(backbone.model, feature[None], texts)[0].tolist()]
            totals[label] += scores[label] / sum(scores)
            counts[label] += 1
    return torch.tensor([total / max(1, count) for total, count in zip(totals, counts, strict=True)], dtype=torch.float64)


@pytest.mark.parametrize(
    "shown",
    [[0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3], [3, 1, 1, 0, 3, 1], [1, 3, 1]],
    ids=["even", "uneven", "two classes without"],
)
def test_clap_loss(backbone, features, labels, shown):
    """L_ce + mean_c lambda_c |w_c - t_c|^2; lambda is 0 for a class without training images."""
    shown = torch.tensor(shown)
    method, views = with_images("clap", backbone, shown)
    with torch.no_grad():
        change, texts = learnt(method)["change"], base(backbone)
        weights = multipliers(backbone, views, shown, texts)
        assert len(set(weights.tolist())) >= 3
        penalty = sum(weights[c] * (change[c] ** 2).sum() for c in range(4)) / 4
        assert penalty > 0.01
        own = entropy(cosine_logits(backbone.model, features, texts + change), labels)
        torch.testing.assert_close(method.loss(Batch(labels, features=features)), own + penalty, **CLOSE)


def test_clap_penalty_by_hand(backbone, features, labels):
    """lambda = (1/2, 1/2) where texts of equal direction make two classes equally likely: the penalty is
    (|change_0|^2 + |change_1|^2) / 4."""
    twins = ClassList(("cat", "cat"), OWN)
    method, _ = with_images("clap", backbone, torch.tensor([0, 1, 1]), classes=twins)
    change = learnt(method)["change"]
    both = labels.clamp(max=1)
    with torch.no_grad():
        own = entropy(method.logits(Batch(both, features=features)), both)
        penalty = method.loss(Batch(both, features=features)) - own
    torch.testing.assert_close(penalty, (change[0] ** 2).sum() / 4 + (change[1] ** 2).sum() / 4, **CLOSE)


def test_clap_step(backbone, features, labels):
    """lambda is a constant: only CE and the distance are differentiated. SGD without decay."""
    method, views = with_images("clap", backbone, labels, lr=0.5, **STEP)
    change, texts = leaves(method)["change"], base(backbone)
    weights = multipliers(backbone, views, labels, texts)
    own = entropy(cosine_logits(backbone.model, features, texts + change), labels)
    (gradient,) = torch.autograd.grad(own, change)
    gradient = gradient + 2 * weights[:, None] * change.detach() / 4
    check_step(method, features, labels, {"change": sgd(change, gradient, 0.5, decay=0.0)})
