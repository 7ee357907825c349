"""Replayed steps: on a CPU there are none; on a GPU they give what the method's own code gives."""

from __future__ import annotations

import pytest
import torch

from benchmark.backbones.clip import Backbone
from benchmark.config.schema import BackboneSpec
from benchmark.data.features import FeatureStore
from benchmark.method import registry
from benchmark.method.terms import Incompatible
from benchmark.training import replay
from benchmark.training.checks import tiny_clips
from benchmark.training.loop import learnt_by_gradient, train, training_images
from benchmark.training.modules import build_method, require_compatible

METHODS = registry.methods().plugins
STEPS = 24
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")


@pytest.fixture(scope="module")
def clip(backbone_folders) -> Backbone:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return Backbone.load("native", BackboneSpec(model=f"local-dir:{backbone_folders['native']}"), device)


def trained(cls, backbone, precision="fp32", **changes):
    """A method after ``STEPS`` steps at a small rate, and its log; None if it learns nothing by gradient."""
    config = cls.Config(**cls.preset("small", "base-to-new", 3, "tiny"))
    config = config.model_copy(
        update={"steps": STEPS, "batch_size": 6, "lr": 1e-3, "warmup_epochs": 0, "views": 2} | changes
    )
    require_compatible(cls, config, backbone)
    task, store = tiny_clips.task(), FeatureStore(None)
    method = build_method(cls, config, backbone, task, store)
    if not learnt_by_gradient(method):
        return None
    return method, train(method, training_images(method, task, store), shots=3, seed=1, precision=precision)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_no_step_is_replayed_on_a_cpu(clip):
    _, log = trained(METHODS["coop"].cls, clip)
    assert not log.replayed


class Room:
    """Stands for the memory of a device: losses of more examples than fit do not."""

    def __init__(self, monkeypatch, cls, fits, error=torch.OutOfMemoryError):
        self.seen, loss = [], cls.loss

        def of(method, batch):
            self.seen.append(len(batch))
            if len(batch) > fits:
                raise error("no room")
            return loss(method, batch)

        monkeypatch.setattr(cls, "loss", of)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, MemoryError])
@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_batch_that_does_not_fit_is_computed_in_parts(name, error, clip, monkeypatch):
    """Six examples, of which four fit: two parts of three, from the first step on, with the same effective batch."""
    cls = METHODS[name].cls
    still = dict.fromkeys(
        {"dropout", "mask", "skip"} & cls.Config.model_fields.keys(), 0.0
    )  # each part has draws of its own
    try:
        whole = trained(cls, clip, steps=3, **still)
    except Incompatible:
        pytest.skip("does not work on this layout")
    if whole is None:
        return
    room = Room(monkeypatch, cls, fits=4, error=error)
    if not cls.splittable:
        with pytest.raises(error):
            trained(cls, clip, steps=3, **still)
        return
    method, log = trained(cls, clip, steps=3, **still)
    assert room.seen == [6, 3, 3, 3, 3, 3, 3]
    assert (log.micro_batch, whole[1].micro_batch) == (3, None)
    assert log.last_loss == pytest.approx(whole[1].last_loss, rel=1e-3)
    for value, expected in zip(method.parameters(), whole[0].parameters(), strict=True):
        torch.testing.assert_close(value, expected, atol=1e-3, rtol=1e-2)


def test_parts_become_smaller_until_they_fit(clip, monkeypatch):
    room = Room(monkeypatch, METHODS["coop"].cls, fits=1)
    _, log = trained(METHODS["coop"].cls, clip, steps=2)
    assert room.seen == [6, 3, 1, 1, 1, 1, 1, 1] + [1] * 6
    assert log.micro_batch == 1


def test_a_single_example_that_does_not_fit_is_an_error(clip, monkeypatch):
    room = Room(monkeypatch, METHODS["coop"].cls, fits=0)
    with pytest.raises(torch.OutOfMemoryError):
        trained(METHODS["coop"].cls, clip)
    assert room.seen == [6, 3, 1]


def test_other_errors_are_not_tried_again(clip, monkeypatch):
    room = Room(monkeypatch, METHODS["coop"].cls, fits=4, error=RuntimeError)
    with pytest.raises(RuntimeError, match="no room"):
        trained(METHODS["coop"].cls, clip)
    assert room.seen == [6]


class Recorded:
    """Stands for a graph: computes what it was made for, off by some share."""

    off = 0.0

    def __init__(self, owner, batch):
        self.owner, self.shape = owner, batch.labels.shape
        self.gradients = []
        self.replays = 0

    def fits(self, batch):
        return batch.labels.shape == self.shape

    def replay(self, batch):
        self.replays += 1
        self.owner.clear()
        loss = self.owner.compute(batch)
        for value in self.owner.learnt:
            value.grad *= 1 + self.off
        self.gradients = [value.grad for value in self.owner.learnt]
        return loss


def recorded(monkeypatch, off):
    """Let a stand-in be captured on a CPU; returns those that were made."""
    made = []
    kind = type("Recorded", (Recorded,), {"off": off})
    monkeypatch.setattr(replay, "_has_graphs", lambda device: True)
    monkeypatch.setattr(replay, "_Graph", lambda *args: made.append(kind(*args)) or made[-1])
    return made


def same(method, other):
    return all(torch.equal(a, b) for a, b in zip(method.parameters(), other.parameters(), strict=True))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize("name", ["coop", "clip-lora", "prograd", "masked-lora-text"])
def test_a_graph_draws_and_learns_what_the_methods_own_code_does(name, clip, monkeypatch):
    """Dropout and masks: making a graph must not use up random numbers."""
    plain, _ = trained(METHODS[name].cls, clip)
    made = recorded(monkeypatch, off=0.0)
    method, log = trained(METHODS[name].cls, clip)
    assert log.replayed
    assert made[0].replays == STEPS
    assert same(method, plain)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize("name", ["coop", "clip-lora", "prograd"])
def test_a_graph_with_other_gradients_is_not_used(name, clip, monkeypatch):
    plain, _ = trained(METHODS[name].cls, clip)
    made = recorded(monkeypatch, off=0.05)
    method, log = trained(METHODS[name].cls, clip)
    assert not log.replayed
    assert made[0].replays == 1
    assert same(method, plain)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_step_that_cannot_be_captured_is_computed(clip, monkeypatch):
    plain, _ = trained(METHODS["coop"].cls, clip)
    recorded(monkeypatch, off=0.0)

    def refuse(*_):
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(replay, "_Graph", refuse)
    method, log = trained(METHODS["coop"].cls, clip)
    assert not log.replayed
    assert same(method, plain)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_short_trainings_and_methods_that_say_so_are_not_captured(clip, monkeypatch):
    made = recorded(monkeypatch, off=0.0)
    trained(METHODS["coop"].cls, clip, steps=replay.LEAST - 1)
    monkeypatch.setattr(METHODS["coop"].cls, "replayable", False)
    trained(METHODS["coop"].cls, clip)
    assert made == []


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("name", sorted(METHODS))
def test_replayed_steps_learn_the_same(name, precision, clip, monkeypatch):
    """Dropout and masks included: a graph draws what the method's own code would draw."""
    cls = METHODS[name].cls
    try:
        done = trained(cls, clip, precision)
    except Incompatible:
        pytest.skip("does not work on this layout")
    if done is None:
        return
    method, log = done
    assert log.replayed == cls.replayable
    monkeypatch.setattr(replay, "LEAST", STEPS + 1)
    plain, its_log = trained(cls, clip, precision)
    assert not its_log.replayed
    assert log.first_loss == pytest.approx(its_log.first_loss, rel=1e-3)
    assert log.last_loss == pytest.approx(its_log.last_loss, rel=2e-2, abs=1e-3)
    own, expected = (torch.cat([value.flatten() for value in some.parameters()]) for some in (method, plain))
    assert (own - expected).norm() <= 1e-2 * expected.norm()


@pytest.mark.gpu
@needs_gpu
def test_a_smaller_last_batch_is_not_replayed(clip, monkeypatch):
    cls = METHODS["clip-adapter"].cls
    method, log = trained(cls, clip, drop_last=False, batch_size=5)  # 12 images: 5, 5 and 2
    assert log.replayed
    monkeypatch.setattr(replay, "LEAST", STEPS + 1)
    plain, _ = trained(cls, clip, drop_last=False, batch_size=5)
    for name, value in plain.named_parameters():
        torch.testing.assert_close(dict(method.named_parameters())[name], value, atol=1e-4, rtol=1e-3)


@pytest.mark.gpu
@needs_gpu
def test_what_a_graph_cannot_hold_is_computed_by_the_methods_own_code(clip, monkeypatch):
    cls = METHODS["coop"].cls
    expected, _ = trained(cls, clip)

    def curious(self, batch):
        loss = super(cls, self).loss(batch)
        return loss if float(loss) > -1 else loss * 2

    monkeypatch.setattr(cls, "loss", curious, raising=False)
    method, log = trained(cls, clip)
    assert not log.replayed
    torch.testing.assert_close(method.context, expected.context, atol=1e-4, rtol=1e-3)
