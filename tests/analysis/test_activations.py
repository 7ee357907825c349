"""Features by stage of a tower."""

from __future__ import annotations

import torch

from benchmark.analysis import activations


def test_stages_end_where_the_towers_do(bench):
    for backbone in (bench.backbones["native"], bench.backbones["eva"]):
        texts = ["a photo of a cat", "dog", "a very long bird"]
        features = activations.text_features(backbone, texts)
        assert len(features) == len(activations.stages(backbone, "text"))
        assert torch.allclose(features[-1], backbone.encode_texts(texts), atol=1e-5)
        bank = bench.store.testing(backbone, bench.task.tests[0].examples, pixels=True)
        images = activations.image_features(backbone, bank)
        assert len(images) == len(activations.stages(backbone, "vision"))
        assert torch.allclose(images[-1], backbone.encode_image(bank.all().pixels), atol=1e-5)


def test_padding_has_no_part_in_a_text(bench):
    """The same text, alone and next to a longer one."""
    backbone = bench.backbones["native"]
    alone, padded = (activations.text_features(backbone, texts) for texts in (["cat"], ["cat", "a photo of a small dog"]))
    for one, two in zip(alone, padded, strict=True):
        assert torch.allclose(one[0], two[0], atol=1e-5)
