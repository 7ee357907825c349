"""Tip-Adapter and Tip-Adapter-F against their formulas.

As in ``test_formulas``, only open_clip's modules and plain torch compute the expected values. A training step is compared
with the first step of its optimiser, written out: SGD w - lr (g + wd w), Adam w - lr g' / (|g'| + eps) with g' = g + wd w,
AdamW w (1 - lr wd) - lr g / (|g| + eps).
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from fixtures.formulas import (
    CLASSES,
    CLOSE,
    ENSEMBLES,
    HELD_OUT,
    OWN,
    PLUGINS,
    STEP,
    TASK,
    VIEWS,
    WIDTH,
    Drawn,
    base,
    check_step,
    cosine_logits,
    drawn,
    ensemble,
    entropy,
    few_shots,
    learnt,
    leaves,
    normal_base,
    texts_of,
    with_images,
)

from benchmark.data.batch import Batch
from benchmark.data.features import Bank
from benchmark.training.loop import fit, train

# --- Tip-Adapter --------------------------------------------------------------------------------------------------


def first_keys(views):
    """F (N, d): n((1 / V) sum_v f_v) of each training image, the features raw."""
    return torch.stack([mean / mean.norm() for mean in views.mean(0)])


def tip_logits(backbone, features, texts, keys, labels, alpha, beta, classes=4):
    """s f W^T + (s / 100) alpha exp(-beta (1 - f F^T)) V on normalised f, V the training labels in columns."""
    scale, unit = backbone.model.logit_scale.exp(), features / features.norm(dim=1, keepdim=True)
    zero_shot = scale * unit @ (texts / texts.norm(dim=1, keepdim=True)).T
    near = torch.exp(-beta * (1 - unit @ keys.T))
    columns = [near[:, labels == label].sum(1) for label in range(classes)]
    return zero_shot + scale / 100 * alpha * torch.stack(columns, 1)


SHOWN = torch.tensor([2, 0, 1, 3, 0, 0, 2, 1, 3])
"""Labels of the training images in the tests of logits: in no order, and not equally many."""


@pytest.mark.parametrize(("alpha", "beta"), [(1.17, 1.0), (100.0, 5.5)])
def test_tip_adapter(backbone, features, labels, alpha, beta):
    method, views = with_images("tip-adapter", backbone, SHOWN, alpha=alpha, beta=beta)
    with torch.no_grad():
        texts = texts_of(backbone, OWN)
        expected = tip_logits(backbone, features, texts, first_keys(views), SHOWN, alpha, beta)
        assert (expected - cosine_logits(backbone.model, features, texts)).abs().max() > 0.01
        torch.testing.assert_close(method.logits(Batch(labels, features=features)), expected, **CLOSE)


@pytest.mark.parametrize("given", list(ENSEMBLES))
@pytest.mark.parametrize("name", ["tip-adapter", "tip-adapter-f", "tip-adapter-f-old-keys"])
def test_tip_adapter_s_ensemble(backbone, features, labels, given, name):
    """W is the mean of normalised texts over the ensemble, if there is one, else of the data set's template."""
    templates, _ = ENSEMBLES[given]
    method, views = with_images(name, backbone, SHOWN, classes=ensemble(templates))
    tensors = learnt(method)
    keys = tensors["kept"] if "kept" in tensors else first_keys(views) + tensors.get("change", 0.0)
    used = templates or (OWN,)
    with torch.no_grad():
        expected, raw, more = (
            tip_logits(backbone, features, texts, keys, SHOWN, 1.17, 1.0)
            for texts in (normal_base(backbone, used), base(backbone, used), normal_base(backbone, (*used, OWN)))
        )
        torch.testing.assert_close(method.logits(Batch(labels, features=features)), expected, **CLOSE)
        if templates:
            assert min(float((other - expected).abs().max()) for other in (raw, more)) > 1e-3


def grid_search(backbone, held_out, texts, keys, labels, largest_beta, largest_alpha):
    """The official double loop: 200 values of beta, 20 of alpha, strictly better than all before. Also all scores."""
    best, chosen, scores = 0.0, None, []
    unit = held_out.features / held_out.features.norm(dim=1, keepdim=True)
    scale = backbone.model.logit_scale.exp()
    zero_shot = scale * unit @ (texts / texts.norm(dim=1, keepdim=True)).T
    distance = 1 - unit @ keys.T
    one_hot = torch.eye(4, dtype=torch.float64)[labels]
    for i in range(200):
        beta = i * (largest_beta - 0.1) / 200 + 0.1
        cache = scale / 100 * torch.exp(-beta * distance) @ one_hot
        for j in range(20):
            alpha = j * (largest_alpha - 0.1) / 20 + 0.1
            right = int(((zero_shot + alpha * cache).argmax(1) == held_out.labels).sum())
            scores.append(right)
            if right > best:
                best, chosen = right, (alpha, beta)
    return chosen, scores


def wanted_at(backbone, texts, keys, labels, alpha, beta, count=24):
    """Held-out images that a certain alpha and beta have right, but for some."""
    images = drawn(count, WIDTH, seed=21)
    with torch.no_grad():
        own = tip_logits(backbone, images, texts, keys, labels, alpha, beta).argmax(1)
    own[::7] = (own[::7] + 1) % 4
    return Batch(own, features=images)


LARGEST = {"largest_beta": 9.0, "largest_alpha": 300.0}


def check_search(method, backbone, keys, wrong_keys, run):
    """``run(held_out)`` chooses what the double loop chooses, and neither the loop's last best nor its beginning."""
    texts = texts_of(backbone, OWN).detach()
    held_out = wanted_at(backbone, texts, keys, SHOWN, 120.0, 4.0)
    (alpha, beta), scores = grid_search(backbone, held_out, texts, keys, SHOWN, 9.0, 300.0)
    best = [place for place, score in enumerate(scores) if score == max(scores)]
    assert scores[0] < max(scores) > min(scores)
    assert len(best) > 1  # so that ">" and ">=" differ
    if wrong_keys is not None:
        assert grid_search(backbone, held_out, texts, wrong_keys, SHOWN, 9.0, 300.0)[0] != (alpha, beta)
    run(held_out)
    actual = learnt(method)
    assert (float(actual["alpha"]), float(actual["beta"])) == pytest.approx((alpha, beta), rel=1e-6)


def test_tip_adapter_s_search(backbone):
    """By ``fit``: nothing is trained, and alpha and beta are chosen on the held-out images."""
    method, views = with_images("tip-adapter", backbone, SHOWN, **LARGEST)
    assert (float(method.alpha), float(method.beta)) == pytest.approx((1.17, 1.0))
    plain = Batch(SHOWN, features=drawn(9, WIDTH, seed=30))
    check_search(method, backbone, first_keys(views), None, lambda held_out: fit(method, TASK, Drawn(TASK, plain, held_out)))


@pytest.mark.parametrize(("search", "held_out"), [(False, True), (True, False)])
def test_tip_adapter_takes_alpha_and_beta_as_given(backbone, search, held_out):
    method, _ = with_images("tip-adapter", backbone, SHOWN, search=search, alpha=2.0, beta=3.0)
    task = TASK if held_out else replace(TASK, val=TASK.train.pick([]))
    batch = Batch(HELD_OUT, features=drawn(8, WIDTH, seed=1))
    fit(method, task, Drawn(task, batch, batch))
    assert {name: float(value) for name, value in learnt(method).items()} == {"alpha": 2.0, "beta": 3.0}


# --- Tip-Adapter-F ------------------------------------------------------------------------------------------------

TRAINED_KEYS = {"tip-adapter-f": "change", "tip-adapter-f-old-keys": "kept"}
"""What each learns by gradient."""


def whole_keys(name, views, tensor):
    return first_keys(views) + tensor if name == "tip-adapter-f" else tensor


@pytest.mark.parametrize("name", list(TRAINED_KEYS))
def test_tip_adapter_f(backbone, features, labels, name):
    """Tip-Adapter's logits with F learnt, as it is or as a change; the loss is cross-entropy. F is not normalised again."""
    method, views = with_images(name, backbone, SHOWN, alpha=20.0, beta=2.0)
    with torch.no_grad():
        keys = whole_keys(name, views, learnt(method)[TRAINED_KEYS[name]])
        assert (keys - first_keys(views)).abs().max() > 0.1
        expected = tip_logits(backbone, features, texts_of(backbone, OWN), keys, SHOWN, 20.0, 2.0)
        batch = Batch(labels, features=features)
        torch.testing.assert_close(method.logits(batch), expected, **CLOSE)
        torch.testing.assert_close(method.loss(batch), entropy(expected, labels), **CLOSE)


@pytest.mark.parametrize("name", list(TRAINED_KEYS))
def test_tip_adapter_f_starts_as_tip_adapter(backbone, features, labels, name):
    """F is the normalised mean over views."""
    (tip, views), (shots, _) = with_images("tip-adapter", backbone, SHOWN), few_shots(SHOWN)
    cls = PLUGINS[name].cls
    method = cls(cls.Config(views=VIEWS), backbone, CLASSES, shots).eval()
    method.values = method.values.double()
    torch.testing.assert_close(method.double().keys().detach(), first_keys(views), atol=1e-6, rtol=1e-6)
    batch = Batch(labels, features=features)
    with torch.no_grad():
        torch.testing.assert_close(method.logits(batch), tip.logits(batch), **CLOSE)


@pytest.mark.parametrize("name", list(TRAINED_KEYS))
@pytest.mark.parametrize("settings", [{}, {"weight_decay": 2.0}, {"eps": 0.02}], ids=str)
def test_tip_adapter_f_step(backbone, features, labels, name, settings):
    """AdamW's first: w (1 - lr wd) - lr g / (|g| + eps), eps 1e-4 and wd 0.01; w the keys, or their change. alpha and beta
    are not trained."""
    method, views = with_images(name, backbone, SHOWN, alpha=20.0, beta=2.0, lr=0.05, **settings, **STEP)
    key = TRAINED_KEYS[name]
    weight = leaves(method)[key]
    own = tip_logits(backbone, features, texts_of(backbone, OWN).detach(), whole_keys(name, views, weight), SHOWN, 20.0, 2.0)
    (gradient,) = torch.autograd.grad(entropy(own, labels), weight)
    decay, eps = settings.get("weight_decay", 1e-2), settings.get("eps", 1e-4)
    expected = weight.detach() * (1 - 0.05 * decay) - 0.05 * gradient / (gradient.abs() + eps)
    check_step(method, features, labels, {key: expected})
    assert (float(method.alpha), float(method.beta)) == (20.0, 2.0)


@pytest.mark.parametrize("name", list(TRAINED_KEYS))
def test_tip_adapter_f_searches_after_training(backbone, name):
    """By ``fit``: a step on the views of the training images, then the grid with the trained keys."""
    method, views = with_images(name, backbone, SHOWN, lr=0.05, **LARGEST, **STEP)
    rows = drawn(VIEWS, 9, WIDTH, seed=40)
    twin, _ = with_images(name, backbone, SHOWN, lr=0.05, **LARGEST, **STEP)
    before = whole_keys(name, views, learnt(twin)[TRAINED_KEYS[name]])
    train(twin, Bank(rows, SHOWN), shots=3, seed=TASK.id.seed)
    keys = whole_keys(name, views, learnt(twin)[TRAINED_KEYS[name]])
    plain = Batch(SHOWN, features=drawn(9, WIDTH, seed=41))
    check_search(
        method, backbone, keys, before, lambda held_out: fit(method, TASK, Drawn(TASK, plain, held_out, views=rows))
    )


@pytest.mark.parametrize("name", list(TRAINED_KEYS))
def test_tip_adapter_f_on_another_backbone(backbone, other, name):
    """The change is added to keys that are encoded there; the other method's keys stay those of the old backbone. alpha
    and beta are carried along."""
    method, views = with_images(name, backbone, SHOWN, alpha=20.0, beta=2.0)
    moved, there = with_images(name, other, SHOWN, seed=1, images=4)
    moved.load(method.tensors())
    carried = method.tensors()[TRAINED_KEYS[name]].double()
    keys = whole_keys(name, there, carried)
    images = drawn(5, WIDTH, seed=8)
    with torch.no_grad():
        expected, wrong = (
            tip_logits(other, images, texts_of(other, OWN), used, SHOWN, 20.0, 2.0) for used in (keys, first_keys(there))
        )
        actual = moved.logits(Batch(torch.zeros(5, dtype=torch.long), features=images))
    torch.testing.assert_close(actual, expected, **CLOSE)
    assert (actual - wrong).abs().max() > 0.01
    old = first_keys(views)
    other = old + carried if name == "tip-adapter-f" else first_keys(there) + carried - old
    assert (keys - other).abs().max() > 0.1
