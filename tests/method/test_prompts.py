"""Sentences with room for learnt context."""

from __future__ import annotations

import pytest
import torch

from benchmark.method.prompts import PromptTemplate, initial_context, padded_context, too_much_context


def test_context_of_the_words_themselves_is_the_written_sentence(backbone, classes):
    words = "a photo of a"
    prompt = PromptTemplate(backbone, classes, 4)
    context = initial_context(backbone, words, 4)
    written = backbone.encode_texts([f"{words} {name}." for name in classes.readable])
    torch.testing.assert_close(prompt.encode(context), written, atol=2e-4, rtol=1e-3)


def test_one_context_for_all_classes_equals_the_same_for_each(backbone, classes):
    prompt = PromptTemplate(backbone, classes, 3)
    context = torch.randn(3, backbone.text_width, generator=torch.Generator().manual_seed(0))
    one = prompt.encode(context)
    torch.testing.assert_close(prompt.encode(context.expand(len(classes.names), -1, -1)), one, atol=2e-4, rtol=1e-3)
    both = prompt.encode_each(torch.stack([context, -context]))
    torch.testing.assert_close(both[0], one, atol=2e-4, rtol=1e-3)
    assert not torch.allclose(both[1], one, atol=1e-3)


def test_words_beyond_the_context_stay_before_the_name(backbone, classes):
    prompt = PromptTemplate(backbone, classes, 2, "a photo of a")
    context = initial_context(backbone, "a photo of a", 2)
    written = backbone.encode_texts([f"a photo of a {name}." for name in classes.readable])
    torch.testing.assert_close(prompt.encode(context), written, atol=2e-4, rtol=1e-3)


def test_first_values(backbone):
    torch.manual_seed(0)
    random = initial_context(backbone, "", 16)
    assert random.shape == (16, backbone.text_width)
    assert 0.015 < float(random.std()) < 0.025
    padded = padded_context(backbone, "a photo", 4)
    assert not padded[:2].any()
    assert torch.equal(padded[2:], initial_context(backbone, "a photo", 2))


def test_names_are_embedded_without_their_ends(backbone, classes):
    embedded, mask = PromptTemplate(backbone, classes, 2).name_embeddings()
    assert mask.sum(1).tolist() == [2, 1, 2, 1]  # red dog, cat, blue bird, lorry
    ids = backbone.tokenize(["cat"]).ids[0]
    torch.testing.assert_close(embedded[1, 0], backbone.embed(ids[None])[0, 1])


@pytest.mark.parametrize(("count", "fits"), [(4, True), (200, False)])
def test_too_much_context_is_told(count, fits, backbone):
    reason = too_much_context(backbone, count)
    assert (reason is None) == fits
