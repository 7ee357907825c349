"""Towers in half precision; features and logits in single."""

from __future__ import annotations

import pytest
import torch

from benchmark.backbones.precision import autocast, widened
from benchmark.backbones.shared_prefix import Ends, encode_prompts

HALF = pytest.mark.parametrize("precision", ["bf16", "fp16"])
TEXTS = ["a dog", "a cat in a house", "a lorry"]


def pixels(count: int = 4) -> torch.Tensor:
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def prompts(backbone) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Prefixes, suffixes and end-of-text of three sentences."""
    tokens = backbone.tokenize(TEXTS)
    embedded = backbone.embed(tokens.ids)
    return embedded[:1, :2], embedded[:, 2:], Ends.of(tokens.eot)


PASSES = {
    "images": lambda backbone: backbone.encode_image(pixels()),
    "texts": lambda backbone: backbone.encode_texts(TEXTS),
    "prompts": lambda backbone: encode_prompts(backbone, *prompts(backbone)),
}


@HALF
@pytest.mark.parametrize("name", PASSES)
def test_towers_compute_in_it_and_features_are_single(name, precision, backbone):
    run = PASSES[name]
    with torch.no_grad():
        single = run(backbone)
        with backbone.computing_in(precision):
            half = run(backbone)
        again = run(backbone)
    assert half.dtype == torch.float32
    assert not torch.equal(half, single), "nothing was computed in half precision"
    assert torch.cosine_similarity(half, single, dim=-1).min() > 0.8  # random towers amplify rounding
    assert torch.equal(again, single), "it goes on after the context"


def test_it_ends_with_an_error_too(backbone):
    with pytest.raises(ValueError, match="tokens given"), backbone.computing_in("bf16"):
        backbone.encode_embeddings(torch.zeros(1, 999, backbone.text_width), torch.zeros(1, dtype=torch.long))
    assert backbone._precision == "fp32"


@HALF
def test_logits_are_single_whatever_surrounds_them(precision, backbone):
    """Also of half-precision features, and inside somebody's autocast: 1,000 classes do not tie."""
    generator = torch.Generator().manual_seed(2)
    images, texts = (torch.randn(count, backbone.embed_dim, generator=generator) for count in (64, 1000))
    expected = backbone.logits(images, texts)
    with backbone.computing_in(precision):
        assert torch.equal(backbone.logits(images, texts), expected)
    with autocast(torch.device("cpu"), precision):
        assert torch.equal(backbone.logits(images, texts), expected)
        assert torch.equal(backbone.logits(images, texts.expand(64, -1, -1)).argmax(1), expected.argmax(1))
    half = backbone.logits(images.bfloat16(), texts.bfloat16())
    assert half.dtype == torch.float32
    assert (half.topk(2).values.diff().abs() > 0).all(), "ties at the top"


def test_only_half_precision_is_widened():
    assert [widened(torch.zeros(1, dtype=kind)).dtype for kind in (torch.bfloat16, torch.float16)] == [torch.float32] * 2
    assert widened(torch.zeros(1, dtype=torch.float64)).dtype == torch.float64
