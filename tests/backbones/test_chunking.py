"""Class lists in pieces: the same features and the same gradients as in one go."""

from __future__ import annotations

import pytest
import torch

from benchmark.backbones import chunking
from benchmark.backbones.chunking import by_rows
from benchmark.config.validation import check
from benchmark.data.batch import Batch, ClassList
from benchmark.method import registry

CLASSES = ClassList(tuple(f"{adjective} {noun}" for adjective in ("red", "old big") for noun in "cat dog car cup".split()))


def test_pieces_are_joined_in_order_and_computed_again_for_the_gradient(monkeypatch):
    monkeypatch.setattr(chunking, "ROWS", 6)
    calls = []

    def square(x: torch.Tensor) -> torch.Tensor:
        calls.append(len(x))
        return x * x

    x = torch.arange(7.0, requires_grad=True)
    y = by_rows(square, x, prompts=2)
    assert calls == [3, 3, 1]
    y.sum().backward()
    assert torch.equal(x.grad, 2 * x.detach())
    assert sorted(calls) == [1, 1, 3, 3, 3, 3]
    with torch.no_grad():
        assert torch.equal(by_rows(square, x, prompts=2), x * x)


def test_random_numbers_are_the_same_the_second_time(monkeypatch):
    monkeypatch.setattr(chunking, "ROWS", 2)
    weight = torch.ones(6, requires_grad=True)
    torch.manual_seed(1)
    y = by_rows(lambda w: torch.nn.functional.dropout(w, 0.5), weight)
    y.sum().backward()
    assert torch.equal(weight.grad, y.detach())  # both are 2 where the number was kept and 0 elsewhere


@pytest.mark.parametrize("name", ["coop", "cocoop", "contcoop", "clip-lora"])
def test_methods_have_equal_gradients_whatever_the_size(name, backbone, monkeypatch):
    """With dropout off, nothing but the order of sums may differ."""
    cls = registry.methods()[name].cls
    settings = {"dropout": 0.0} if "dropout" in cls.Config.model_fields else {}
    gradients = []
    for size in (3, 10_000):
        monkeypatch.setattr(chunking, "ROWS", size)
        torch.manual_seed(0)
        made = cls(check(cls.Config, settings, where="test"), backbone, CLASSES).train()
        with torch.no_grad():
            for number, value in enumerate(made.parameters()):
                value += 0.1 * torch.randn(value.shape, generator=torch.Generator().manual_seed(number))
        pixels = torch.randn(3, 3, backbone.image_size, backbone.image_size, generator=torch.Generator().manual_seed(9))
        labels = torch.tensor([0, 4, 7])
        batch = Batch(labels, pixels=pixels) if made.needs_pixels else Batch(labels, features=backbone.encode_image(pixels))
        made.loss(batch).backward()
        gradients.append([value.grad.clone() for value in made.parameters()])
    assert any(value.abs().max() > 0 for value in gradients[0])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-3)
