"""Prompts in several layers of both towers."""

from __future__ import annotations

import pytest
import torch

from benchmark.method.deep_prompts import DeepPrompts, no_deep_prompts


def test_depths_are_cut_to_the_towers_own(backbone, classes):
    deep = DeepPrompts(backbone, classes, 2, text_depth=9, n_image=3, image_depth=1, words="a photo")
    assert deep.text.shape == (1, 2, backbone.text_width)  # two layers, of which the first is the context
    assert deep.image.shape[:2] == (1, 3)
    alone = DeepPrompts(backbone, classes, 2, text_depth=1, n_image=0, image_depth=4, words="a photo")
    assert {name for name, _ in alone.named_parameters()} == {"context"}


def test_a_deeper_prompt_replaces_what_the_first_layer_made_of_the_context(backbone, classes):
    torch.manual_seed(0)
    deep = DeepPrompts(backbone, classes, 2, text_depth=2, n_image=2, image_depth=2, words="a photo")
    shallow = DeepPrompts(backbone, classes, 2, text_depth=1, n_image=0, image_depth=0, words="a photo")
    with torch.no_grad():
        shallow.context.copy_(deep.context)
        assert not torch.allclose(deep.class_features(), shallow.class_features(), atol=1e-4)
        pixels = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
        first = deep.image_features(pixels)
        deep.image[1].normal_()  # a constant would be lost in the norm
        assert not torch.allclose(deep.image_features(pixels), first, atol=1e-4)
    assert backbone.encode_image(pixels).shape == first.shape  # and no hook is left
    torch.testing.assert_close(backbone.encode_image(pixels), backbone.encode_image(pixels))


@pytest.mark.parametrize(("context", "image", "why"), [(4, 2, None), (200, 0, "do not fit its context")])
def test_why_they_cannot_enter(context, image, why, backbone):
    reason = no_deep_prompts(backbone, context, image)
    assert reason is None if why is None else why in reason
