"""A training that goes on in another process ends as if nothing had happened."""

from __future__ import annotations

import pytest
import torch

from benchmark.data.features import FeatureStore
from benchmark.method import registry
from benchmark.method.terms import Incompatible
from benchmark.training.checkpoint import Checkpoint
from benchmark.training.checks import tiny_clips
from benchmark.training.loop import learnt_by_gradient, train, training_images
from benchmark.training.modules import build_method, require_compatible

METHODS = registry.methods().plugins
STEPS = 9


class Stopped(Exception):
    """Stands for a kill."""


@pytest.fixture
def checkpoint(tmp_path):
    return lambda **changes: Checkpoint(**{"file": tmp_path / "x.pt", "owner": "me", "every": 0.0} | changes)


def prepared(name, backbone, **changes):
    """A fresh method and its training images; None if it learns nothing by gradient."""
    cls = METHODS[name].cls
    config = cls.Config(**cls.preset("small", "base-to-new", 3, "tiny"))
    config = config.model_copy(update={"steps": STEPS, "batch_size": 5, "warmup_epochs": 0, "views": 3} | changes)
    require_compatible(cls, config, backbone)
    task, store = tiny_clips.task(), FeatureStore(None)
    method = build_method(cls, config, backbone, task, store)
    return (method, training_images(method, task, store)) if learnt_by_gradient(method) else None


def stop_at(step):
    def on_step(done, steps):
        if done == step:
            raise Stopped

    return on_step


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_method_goes_on_to_the_same_module(name, backbones, checkpoint):
    """Dropout, running means and the optimiser's momenta included."""
    try:
        whole = prepared(name, backbones["native"])
    except Incompatible:
        pytest.skip("does not work on this layout")
    if whole is None:
        return
    expected = train(*whole, shots=3, seed=1)
    method, bank = prepared(name, backbones["native"])
    with pytest.raises(Stopped):
        train(method, bank, shots=3, seed=1, checkpoint=checkpoint(), on_step=stop_at(4))
    torch.manual_seed(123)  # another process
    method, bank = prepared(name, backbones["native"])
    log = train(method, bank, shots=3, seed=1, checkpoint=checkpoint())
    for key, value in whole[0].tensors().items():
        assert torch.equal(method.tensors()[key], value), key
    assert (log.steps, log.first_loss, log.last_loss) == (expected.steps, expected.first_loss, expected.last_loss)
    assert log.seconds > log.earlier_seconds > 0


@pytest.mark.parametrize("crop", [None, "fresh"])
def test_new_views_in_every_epoch(crop, backbones, checkpoint):
    """A stream is decoded from where the training goes on."""
    changes = {"views": "fresh"} if crop else {}
    whole, bank = prepared("maple", backbones["native"], **changes)
    train(whole, bank, shots=3, seed=1)
    method, bank = prepared("maple", backbones["native"], **changes)
    with pytest.raises(Stopped):
        train(method, bank, shots=3, seed=1, checkpoint=checkpoint(), on_step=stop_at(5))
    method, bank = prepared("maple", backbones["native"], **changes)
    train(method, bank, shots=3, seed=1, checkpoint=checkpoint())
    for key, value in whole.tensors().items():
        assert torch.equal(method.tensors()[key], value), key


def test_it_is_saved_when_it_is_due(backbones, checkpoint):
    method, bank = prepared("coop", backbones["native"])
    train(method, bank, shots=3, seed=1, checkpoint=checkpoint(every=1000.0))
    assert not checkpoint().file.exists()
    train(method, bank, shots=3, seed=1, checkpoint=checkpoint())
    assert checkpoint().load()["step"] == STEPS - 1  # after the last step the module itself is saved


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no archive", b"\x80\x02}q\x00."])
def test_what_is_damaged_or_foreign_is_not_used(content, checkpoint):
    own = checkpoint()
    own.file.write_bytes(content)
    assert own.load() is None
    own.save({"step": 3, "tensor": torch.ones(2)})
    assert own.load()["step"] == 3
    assert checkpoint(owner="another version of the file").load() is None
    own.discard()
    assert own.load() is None


def test_a_folder_that_cannot_be_written_is_said(tmp_path, checkpoint):
    (tmp_path / "file").write_text("")
    with pytest.raises(Exception, match="cannot write"):
        checkpoint(file=tmp_path / "file" / "x.pt").save({})
