"""Learnt changes of a tower's own tensors."""

from __future__ import annotations

import torch

from benchmark.backbones.towers.tensors import norms
from benchmark.method.tensor_tuning import Changes


def test_changes_are_added_while_a_function_runs_and_leave_the_backbone_alone(backbones):
    backbone = backbones["eva"]
    changes = Changes(norms(backbone, "text"))
    texts, tokens = ["a red dog"], backbone.tokenize(["a red dog"])
    before = backbone.encode_texts(texts)
    same = changes.run(backbone, backbone.encode_ids, tokens.ids, tokens.eot)
    torch.testing.assert_close(same, before, atol=1e-5, rtol=1e-5)
    with torch.no_grad():
        changes.by["text_final_bias"].fill_(0.5)
    moved = changes.run(backbone, backbone.encode_ids, tokens.ids, tokens.eot)
    projection = backbone.text.projection
    torch.testing.assert_close(moved - before, 0.5 * projection.sum(0, keepdim=True), atol=1e-4, rtol=1e-3)
    assert torch.equal(backbone.encode_texts(texts), before)


def test_gradients_reach_the_changes_only(backbones):
    backbone = backbones["native"]
    changes, tokens = Changes(norms(backbone, "text")), backbone.tokenize(["a cat"])
    changes.run(backbone, backbone.encode_ids, tokens.ids, tokens.eot).sum().backward()
    assert changes.by["text_0_norm1_weight"].grad.abs().max() > 0
    assert all(parameter.grad is None for parameter in backbone.model.parameters())
