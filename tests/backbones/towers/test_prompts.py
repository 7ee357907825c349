"""Learnt tokens inside the encoders."""

from __future__ import annotations

import pytest
import torch

from benchmark.backbones.towers import tower
from benchmark.backbones.towers.prompts import image_prompts, text_prompts

TEXTS = ["a red dog", "a photo of a cat"]


def pixels() -> torch.Tensor:
    return torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(3))


def test_text_tokens_are_replaced_before_a_block(backbone):
    """What the second block is given at the replaced places is the prompt, and all else is as it was."""
    tokens, seen = backbone.tokenize(TEXTS), []
    prompt = torch.randn(2, backbone.text_width, generator=torch.Generator().manual_seed(1))
    block = tower(backbone, "text").blocks[1]
    handle = block.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    backbone.encode_tokens(tokens)
    handle.remove()
    with text_prompts(backbone, {1: prompt}, tokens.start):
        handle = block.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
        backbone.encode_tokens(tokens)
        handle.remove()
    plain, replaced = seen
    start = tokens.start
    torch.testing.assert_close(replaced[:, start : start + 2], prompt.expand(2, -1, -1))
    assert torch.equal(replaced[:, :start], plain[:, :start])
    assert torch.equal(replaced[:, start + 2 :], plain[:, start + 2 :])


@pytest.mark.parametrize("failing", [False, True])
def test_nothing_is_left_of_image_prompts(failing, backbone):
    encoder, before = tower(backbone, "vision"), backbone.encode_image(pixels())
    prompts = {layer: torch.randn(3, encoder.width) for layer in range(2)}
    prefixes = [getattr(encoder.attention(block), "num_prefix_tokens", None) for block in encoder.blocks]
    if failing:
        prompts[1] = torch.randn(3, encoder.width + 1)
        with pytest.raises(RuntimeError), image_prompts(backbone, prompts):
            backbone.encode_image(pixels())
    else:
        with image_prompts(backbone, prompts):
            assert not torch.allclose(backbone.encode_image(pixels()), before, atol=1e-3)
    assert torch.equal(backbone.encode_image(pixels()), before)
    assert [getattr(encoder.attention(block), "num_prefix_tokens", None) for block in encoder.blocks] == prefixes


def test_the_order_of_image_prompts_does_not_matter(backbone):
    """They have no positions."""
    prompt = torch.randn(3, tower(backbone, "vision").width, generator=torch.Generator().manual_seed(2))
    features = []
    for order in ([0, 1, 2], [2, 0, 1]):
        with image_prompts(backbone, {0: prompt[order]}):
            features.append(backbone.encode_image(pixels()))
    torch.testing.assert_close(features[0], features[1], atol=1e-3, rtol=1e-3)
