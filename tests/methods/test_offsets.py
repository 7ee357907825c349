"""Methods that store their context as a change: the same prompt and gradients as their twins, and words of any backbone."""

from __future__ import annotations

import pytest
import torch
from fixtures.formulas import CLASSES, PLUGINS, build

from benchmark.data.batch import Batch
from benchmark.method.passage import Passage
from benchmark.method.space_maps import procrustes, shared_words

TWINS = ("coop", "kgcoop", "prograd", "cocoop", "contcoop")
WORDS = "a photo of a"


def words_of(backbone) -> torch.Tensor:
    """(4, d_t) embeddings of the words, by open_clip alone."""
    text = getattr(backbone.model, "text", backbone.model)
    return text.token_embedding(backbone.tokenizer([WORDS])[0, 1:5]).detach()


def twins(name, backbone):
    """A method with random tensors and its twin with the same context."""
    mine, twin = build(f"{name}-offset", backbone, n_ctx=4), build(name, backbone, n_ctx=4)
    with torch.no_grad():
        for key, value in twin.named_parameters():
            value.copy_(words_of(backbone) + mine.offset if key == "context" else dict(mine.named_parameters())[key])
    return mine, twin


@pytest.fixture
def batch(features, labels) -> Batch:
    return Batch(labels, features=features)


@pytest.mark.parametrize("name", TWINS)
def test_it_is_its_twin_s_prompt_and_has_its_gradients(name, backbone, batch):
    mine, twin = twins(name, backbone)
    with torch.no_grad():
        torch.testing.assert_close(mine.logits(batch), twin.logits(batch))
    for method in (mine, twin):
        method.train()
        method.backward(method.loss(batch), lambda loss: loss)
    gradients = {key: value.grad for key, value in twin.named_parameters()}
    for key, value in mine.named_parameters():
        torch.testing.assert_close(value.grad, gradients["context" if key == "offset" else key])


@pytest.mark.parametrize("name", TWINS)
def test_it_starts_at_the_words(name, backbone):
    cls = PLUGINS[f"{name}-offset"].cls
    method = cls(cls.Config(n_ctx=4), backbone, CLASSES)
    assert not method.offset.any()
    torch.testing.assert_close(method.context.detach().float(), words_of(backbone).float())


def test_too_few_words_take_the_last_places(backbone):
    cls = PLUGINS["coop-offset"].cls
    method = cls(cls.Config(n_ctx=6), backbone, CLASSES)
    torch.testing.assert_close(method.context[2:].detach().float(), words_of(backbone).float())
    assert not method.context[:2].any()


class Told(Passage):
    """A passage whose relatedness is known."""

    relatedness = 0.25


@pytest.fixture
def passage(backbones):
    return lambda new: Told(lambda: backbones["native"], backbones[new])


def token_map(old, new) -> torch.Tensor:
    ids = old.tokenizer(shared_words(old, new))[:, 1]
    tables = [getattr(each.model, "text", each.model).token_embedding.weight.detach() for each in (old, new)]
    others = new.tokenizer(shared_words(old, new))[:, 1]
    return procrustes(tables[0][ids], tables[1][others])


@pytest.mark.parametrize(
    ("carry", "factor", "mapped"),
    [("plain", 1, False), ("scaled", 0.25, False), ("mapped", 1, True), ("mapped-scaled", 0.25, True)],
)
def test_ways_to_another_backbone(carry, factor, mapped, backbones, passage):
    """v = E_new(words) + factor o R."""
    cls = PLUGINS["coop-offset"].cls
    config, offset = cls.Config(carry=carry), torch.randn(4, 32)
    carried = cls.carry(config, {"offset": offset}, passage("eva"))
    method = cls(config, backbones["eva"], CLASSES)
    method.load(carried)
    expected = factor * (offset @ token_map(backbones["native"], backbones["eva"]) if mapped else offset)
    torch.testing.assert_close(method.context.detach(), words_of(backbones["eva"]) + expected)


@pytest.mark.parametrize("carry", ["scaled", "mapped", "mapped-scaled"])
def test_between_widths_it_is_mapped(carry, backbones, passage):
    cls = PLUGINS["coop-offset"].cls
    offset = torch.randn(4, 32)
    carried = cls.carry(cls.Config(carry=carry), {"offset": offset}, passage("wide"))["offset"]
    expected = offset @ token_map(backbones["native"], backbones["wide"])
    torch.testing.assert_close(carried, expected * (0.25 if carry.endswith("scaled") else 1))


def test_only_offsets_are_scaled(passage):
    """Of ContCoOp's, the context's change and the matrix that makes the classes' changes."""
    cls = PLUGINS["contcoop-offset"].cls
    names = ("offset", "query.weight", "key.weight", "value.weight", "out.weight")
    tensors = {name: torch.ones(2, 2) for name in names}
    carried = cls.carry(cls.Config(carry="scaled"), tensors, passage("eva"))
    assert {name: float(value.mean()) for name, value in carried.items()} == {
        name: 0.25 if name in ("offset", "out.weight") else 1 for name in names
    }


def test_a_checkpoint_of_the_official_code_is_not_taken_for_it():
    for name in TWINS:
        assert PLUGINS[f"{name}-offset"].cls.from_official({"state_dict": {"ctx": torch.zeros(4, 32)}}) is None
