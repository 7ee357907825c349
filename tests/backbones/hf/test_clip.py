"""CLIPModel as a backbone: its features are those that transformers computes."""

from __future__ import annotations

import pytest
import torch
from fixtures.hf import IMAGE, SIZES, check, clip, transformers, words, written

from benchmark.backbones import sanity
from benchmark.backbones.hf import needs_package


@pytest.mark.parametrize("act", ["quick_gelu", "gelu"])
def test_clip(tmp_path, act):
    config = {"hidden_act": act}
    torch.manual_seed(4)
    given = {**SIZES, "max_position_embeddings": 24, **config}
    vision = {**SIZES, "hidden_size": 48, "num_attention_heads": 3, **IMAGE, **config}
    model = transformers.CLIPModel(transformers.CLIPConfig(text_config=given, vision_config=vision, projection_dim=24))
    backbone, _ = check(written(model, tmp_path), transformers.CLIPModel)
    assert sanity.check(backbone) == []
    assert not needs_package(tmp_path)


def test_clip_with_a_vocabulary_of_its_own(tmp_path):
    """Read at its end-of-text token, which is not the largest id."""
    tokenizer, size = words("<end>", "<start>")
    given = {"vocab_size": size + 3, "bos_token_id": 2, "eos_token_id": size - 1, "pad_token_id": size - 1}
    clip(tmp_path, **given)
    tokenizer.save_pretrained(tmp_path)
    backbone, _ = check(tmp_path, transformers.CLIPModel)
    assert (backbone.text.pool, backbone.causal) == ("eos", True)
    assert needs_package(tmp_path)
