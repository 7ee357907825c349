"""The training loop: rates, steps, seeds, and what stops it."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from benchmark.data.batch import ClassList
from benchmark.data.dataset import Augmentation
from benchmark.data.features import Bank, FeatureStore
from benchmark.method.base import CACHED_VIEWS, Info, Method, MethodConfig
from benchmark.training.checks import tiny_clips
from benchmark.training.evaluation import predict
from benchmark.training.loop import (
    Diverged,
    derive_seed,
    few_shots,
    fit,
    learning_rate,
    make_optimizer,
    total_steps,
    train,
    training_images,
    views_of,
    visits,
)


class Offset(Method):
    """Learns one offset of the class features."""

    info = Info("offset", "Offset", "for this test", ("features",), "deep")

    def build(self):
        self.offset = nn.Parameter(torch.zeros(self.backbone.embed_dim))
        self.seen = []

    def class_features(self):
        return self.zero_shot_features + self.offset

    def loss(self, batch):
        self.seen.append(batch)
        return super().loss(batch)


@pytest.fixture
def bank(backbones, examples) -> Bank:
    return FeatureStore(None).training(backbones["native"], examples, Augmentation(crop=(0.5, 1.0)), 3, pixels=False)


@pytest.fixture
def make(backbones, classes):
    def build(cls=Offset, **settings) -> Method:
        return cls(MethodConfig(**{"lr": 0.1, "batch_size": 5, "epochs": 3, **settings}), backbones["native"], classes)

    return build


# --- rates --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("epochs", [1, 2, 5, 10, 200])
@pytest.mark.parametrize("per_epoch", [1, 7])
def test_rates_are_those_of_dassl(epochs, per_epoch):
    """lr(0) = 1e-5; lr(e) = lr (1 + cos(pi (e - 1) / E)) / 2, constant within an epoch."""
    config = MethodConfig(lr=0.0035, epochs=epochs)
    for step in range(epochs * per_epoch):
        epoch = step // per_epoch
        expected = 1e-5 if epoch == 0 else 0.0035 * 0.5 * (1 + math.cos(math.pi * (epoch - 1) / epochs))
        if epochs == 1:
            expected = 0.0035  # a run of one epoch would otherwise be all warm-up
        assert learning_rate(config, step, epochs * per_epoch, per_epoch) == pytest.approx(expected, abs=1e-15)


def test_rates_as_printed_in_the_reference():
    """E = 5, lr 0.0035: 1e-5, .0035, .003166, .002291, .001209; E = 10, lr 0.002: the last is 1.91e-4."""
    found = [learning_rate(MethodConfig(lr=0.0035, epochs=5), epoch, 5, 1) for epoch in range(5)]
    assert found == pytest.approx([1e-5, 0.0035, 0.003166, 0.002291, 0.001209], abs=5e-7)
    assert learning_rate(MethodConfig(lr=0.002, epochs=10), 9, 10, 1) == pytest.approx(1.91e-4, abs=5e-7)


def test_rates_by_step_are_torchs_cosine():
    """As CLIP-LoRA: CosineAnnealingLR over all steps down to the least rate, no warm-up."""
    config = MethodConfig(lr=2e-4, anneal="step", warmup_epochs=0, min_lr=1e-6)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=2e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=50, eta_min=1e-6)
    for step in range(50):
        assert learning_rate(config, step, 50, 7) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)
        optimizer.step()
        schedule.step()


@pytest.mark.parametrize("warmup", [0, 2])
def test_warm_up_epochs(warmup):
    config = MethodConfig(lr=0.1, epochs=6, warmup_epochs=warmup, warmup_lr=0.03)
    rates = [learning_rate(config, step, 12, 2) for step in range(12)]
    assert rates[: 2 * warmup] == [0.03] * (2 * warmup)
    assert rates[2 * warmup] == pytest.approx(0.1)
    assert rates[2 * warmup :] == sorted(rates[2 * warmup :], reverse=True)


# --- steps --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("examples", "batch", "expected"),
    [(12, 5, (6, 2)), (12, 12, (3, 1)), (12, 13, (3, 1)), (4, 32, (3, 1)), (10, 5, (6, 2))],
)
def test_an_incomplete_last_batch_is_dropped_if_there_is_a_full_one(examples, batch, expected):
    assert total_steps(MethodConfig(epochs=3, batch_size=batch), examples, shots=16) == expected


@pytest.mark.parametrize(
    ("examples", "batch", "per_epoch"), [(12, 5, 3), (12, 6, 2), (4, 32, 1), (740, 32, 24), (36, 32, 2), (160, 256, 1)]
)
def test_an_incomplete_last_batch_may_be_kept(examples, batch, per_epoch):
    config = MethodConfig(epochs=3, batch_size=batch, drop_last=False)
    assert total_steps(config, examples, shots=16) == (3 * per_epoch, per_epoch)


def test_a_kept_batch_has_the_rest_of_the_images(make, bank):
    method = make(epochs=2, drop_last=False)
    train(method, bank, shots=3, seed=1)
    assert [len(batch.labels) for batch in method.seen] == [5, 5, 2] * 2
    for epoch in (method.seen[:3], method.seen[3:]):
        assert sorted(torch.cat([batch.labels for batch in epoch]).tolist()) == sorted(bank.labels.tolist())


def test_a_batch_of_the_pool_may_have_more_rows_than_images(make, bank):
    """12 images in three views: a batch of 30 has 30 different ones of the pool's 36."""
    method = make(epochs=3, batch_size=30, pool_views=True)
    assert train(method, bank, shots=3, seed=1).steps == 3
    pool = bank.views.flatten(0, 1)
    for batch in method.seen:
        matches = (batch.features[:, None] == pool[None]).all(-1)
        assert matches.any(0).sum() >= 30 - (36 - len(pool.unique(dim=0)))
        assert len(batch.labels) == 30
        labels = bank.labels.repeat(3)
        assert all(labels[row.nonzero()[0, 0]] == label for row, label in zip(matches, batch.labels, strict=True))


def test_steps_by_shots_override_epochs():
    assert total_steps(MethodConfig(epochs=3, batch_size=5, steps_per_shot=500), 20, shots=16) == (8000, 4)


def test_each_epoch_shows_every_image_at_most_once(make, bank):
    """Images told apart by their features; 12 images in batches of 5 make two batches, two images rest."""
    method = make(epochs=4)
    log = train(method, bank, shots=3, seed=1)
    assert log.steps == 8 == len(method.seen)
    plain = {tuple(bank.views[view, row].tolist()): row for view in range(3) for row in range(12)}
    shown = [[plain[tuple(feature.tolist())] for feature in batch.features] for batch in method.seen]
    assert all(len(rows) == 5 for rows in shown)
    epochs = [shown[2 * epoch] + shown[2 * epoch + 1] for epoch in range(4)]
    assert all(len(set(rows)) == 10 for rows in epochs)
    assert len({tuple(rows) for rows in epochs}) == 4
    labels = [int(label) for batch in method.seen for label in batch.labels]
    assert labels == [int(bank.labels[row]) for rows in shown for row in rows]


def test_all_views_are_drawn(make, bank):
    method = make(epochs=10)
    train(method, bank, shots=3, seed=1)
    views = {tuple(bank.views[view, row].tolist()): view for view in range(3) for row in range(12)}
    drawn = [views[tuple(feature.tolist())] for batch in method.seen for feature in batch.features]
    assert min(drawn.count(view) for view in range(3)) > len(drawn) / 6


def test_training_lowers_the_loss_and_leaves_test_mode(make, bank):
    """One view and full batches, so that the loss is of the same images each time."""
    method = make(epochs=40, batch_size=12, lr=0.5, warmup_epochs=0)
    log = train(method, Bank(bank.views[:1], bank.labels), shots=3, seed=1)
    assert log.last_loss < log.first_loss - 0.005
    assert not method.training
    assert log.seconds > 0


def test_seeds(make, bank):
    """Same seed, same bits; another seed, another order; global random state does not matter."""
    found = []
    for seed, noise in ((1, 5), (1, 6), (2, 5)):
        method = make()
        torch.manual_seed(noise)
        train(method, bank, shots=3, seed=seed)
        found.append(method.tensors()["offset"])
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_derived_seeds_depend_on_every_part():
    found = {derive_seed("order", 1), derive_seed("order", 2), derive_seed("noise", 1), derive_seed("order", "1")}
    assert len(found) == 4
    assert derive_seed("order", 1) == int.from_bytes(__import__("hashlib").sha256(b"('order', 1)").digest()[:4], "big")


def test_no_epochs_and_nothing_to_learn(make, bank):
    method = make(epochs=0)
    log = train(method, bank, shots=3, seed=1)
    assert (log.steps, method.seen) == (0, [])
    assert math.isnan(log.first_loss)
    nothing = make(Method)
    assert train(nothing, bank, shots=3, seed=1).steps == 0


def test_on_step_counts_up(make, bank):
    told = []
    train(make(), bank, shots=3, seed=1, on_step=lambda *step: told.append(step))
    assert told == [(step, 6) for step in range(1, 7)]


def test_gradient_clipping(make, bank):
    """Plain SGD without momentum and decay: no step is longer than rate times the norm."""
    method = make(lr=1.0, momentum=0.0, weight_decay=0.0, grad_clip=0.01, warmup_epochs=0, epochs=1, batch_size=12)
    train(method, bank, shots=3, seed=1)
    assert float(method.tensors()["offset"].norm()) == pytest.approx(0.01, rel=1e-3)


def test_optimizers(make):
    sgd, adamw = (make_optimizer(make(optimizer=name).config, make()) for name in ("sgd", "adamw"))
    assert isinstance(sgd, torch.optim.SGD)
    assert (sgd.defaults["momentum"], sgd.defaults["weight_decay"], sgd.defaults["nesterov"]) == (0.9, 5e-4, False)
    assert isinstance(adamw, torch.optim.AdamW)
    assert adamw.defaults["betas"] == (0.9, 0.999)


# --- divergence ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_at_once(make, bank, value):
    class Bad(Offset):
        def loss(self, batch):
            return super().loss(batch) * (value if len(self.seen) > 2 else 1.0)

    with pytest.raises(Diverged, match=r"the loss is (nan|inf) at step 3 of 6"):
        train(make(Bad), bank, shots=3, seed=1)


def test_a_tensor_that_is_not_finite_is_found_at_the_end(make, bank):
    class Bad(Offset):
        def loss(self, batch):
            loss = super().loss(batch)
            if len(self.seen) == 6:
                loss = loss + (self.offset - self.offset.detach()).abs().sqrt().sum()  # gradient 0 * inf
            return loss

    with pytest.raises(Diverged, match="offset is not finite after 6 steps"):
        train(make(Bad), bank, shots=3, seed=1)


def test_a_score_that_is_not_finite_is_no_prediction(make, bank):
    method = make()
    with torch.no_grad():
        method.offset.fill_(math.nan)
    with pytest.raises(Diverged, match="score"):
        predict(method, bank)


def test_a_class_list_of_another_length_is_no_problem(backbones, bank):
    method = Offset(MethodConfig(), backbones["native"], ClassList(("cat", "boat")))
    assert set(predict(method, bank).tolist()) <= {0, 1}


class Steep(Offset):
    """Its gradient overflows in fp16 while the loss scale, 65,536 at first and halved at each overflow, is too large."""

    slope = 1.0

    def loss(self, batch):
        return self.offset.sum() * self.slope


@pytest.mark.parametrize(("slope", "skipped"), [(1.0, 0), (6e33, 1), (2.4e34, 3)])
def test_skipped_steps_are_counted(slope, skipped, make, bank):
    method = make(type("Case", (Steep,), {"slope": slope}), lr=1e-36, steps=6, warmup_epochs=0)
    assert train(method, bank, shots=3, seed=1, precision="fp16").skipped == skipped


def test_nothing_but_skipped_steps_is_no_training(make, bank):
    method = make(type("Case", (Steep,), {"slope": 1e37}), lr=1e-36, steps=6, warmup_epochs=0)
    with pytest.raises(Diverged, match="overflowed in fp16 in each of 6 steps"):
        train(method, bank, shots=3, seed=1, precision="fp16")


@pytest.mark.parametrize(("name", "scale"), [("bank", (0.6, 0.9)), ("few shots", (0.6, 0.9)), ("bank", None)])
def test_a_methods_own_crops(name, scale, make):
    """For the batches, and for methods that look at the training images themselves."""
    task, seen = tiny_clips.task(), []

    class Store(FeatureStore):
        def training(self, backbone, examples, how, views, *, pixels, fresh=False):
            seen.append(how.crop)
            return super().training(backbone, examples, how, views, pixels=pixels)

    method = make(steps=1, crop=scale)
    if name == "bank":
        fit(method, task, Store(None))
    else:
        few_shots(method.config, method.backbone, task, Store(None)).encode(2)
    assert seen == [task.augmentation.cropped(scale).crop]


# --- views -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("views", "pixels", "made"),
    [("auto", False, CACHED_VIEWS), ("auto", True, None), ("fresh", False, None), ("fresh", True, None), (1, True, 1)],
)
def test_how_many_views_are_made(views, pixels, made):
    assert views_of(MethodConfig(views=views), pixels=pixels) == made


@pytest.mark.parametrize("pixels", [False, True])
def test_fresh_views_are_new_in_every_epoch(make, pixels, monkeypatch):
    """Every image of every batch is the view of its epoch, whether it was encoded before or is decoded on its way."""
    task, store = tiny_clips.task(), FeatureStore(None)
    method = make(epochs=3, views="fresh", batch_size=5)
    monkeypatch.setattr(type(method), "needs_pixels", property(lambda _: pixels))
    fit(method, task, store)
    expected = store.training(method.backbone, task.train, task.augmentation, 3, pixels=pixels)
    steps, per_epoch = total_steps(method.config, len(task.train), task.shots)
    order = list(visits(method.config, training_images(method, task, store), steps, per_epoch, task.id.seed))
    assert [int(views[0]) for _, views in order] == [step // per_epoch for step in range(steps)]
    assert len(method.seen) == steps
    for batch, (rows, views) in zip(method.seen, order, strict=True):
        right = expected.batch(rows, views)
        assert torch.equal(batch.labels, right.labels)
        assert torch.equal(batch.pixels, right.pixels) if pixels else torch.equal(batch.features, right.features)


def test_a_single_fresh_epoch_is_augmented(make):
    task = tiny_clips.task()
    method = make(epochs=1, views="fresh")
    bank = training_images(method, task, FeatureStore(None))
    plain = FeatureStore(None).testing(method.backbone, task.train, pixels=False)
    assert bank.view_count == 1
    assert not torch.equal(bank.views, plain.views)
