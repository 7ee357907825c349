"""Prompts that begin alike: the short way gives the features and the gradients of the whole tower."""

from __future__ import annotations

import pytest
import torch

from benchmark.backbones import shared_prefix
from benchmark.backbones.towers.attention import adding, projections
from benchmark.data.batch import ClassList
from benchmark.method.prompts import PromptTemplate, initial_context

CLASSES = ClassList(("cat", "red dog", "a blue_bird house", "boat"))
EXACT = {"atol": 1e-9, "rtol": 1e-9}


@pytest.fixture(params=["native", "eva", "narrow"])
def backbone(request, load_backbone):
    loaded = load_backbone(request.param)
    loaded.model.double()
    return loaded


def whole(backbone, template, contexts):
    """Every prompt through open_clip's own modules, one by one and with all padding."""
    text, rows = getattr(backbone.model, "text", backbone.model), []
    ids = backbone.tokenizer([" ".join(["X"] * contexts.shape[1]) + f" {name}." for name in CLASSES.readable])
    for context in contexts:
        embedded = text.token_embedding(ids)
        start = embedded[:, :1]
        x = (
            torch.cat([start, context.expand(len(ids), -1, -1), embedded[:, 1 + len(context) :]], 1)
            + text.positional_embedding
        )
        x = text.ln_final(text.transformer(x, attn_mask=text.attn_mask))
        rows.append(x[torch.arange(len(ids)), ids.argmax(1)] @ text.text_projection)
    return torch.stack(rows)


def contexts_for(backbone, count, n_ctx, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, n_ctx, backbone.text_width, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("n_ctx", [1, 4])
@pytest.mark.parametrize("count", [1, 3])
def test_features_equal_the_whole_towers(backbone, count, n_ctx):
    template, contexts = PromptTemplate(backbone, CLASSES, n_ctx), contexts_for(backbone, count, n_ctx)
    assert shared_prefix._plain(backbone)
    with torch.no_grad():
        found = template.encode_each(contexts)
        assert found.shape == (count, 4, backbone.embed_dim)
        torch.testing.assert_close(found, whole(backbone, template, contexts), **EXACT)


def test_gradients_equal_the_whole_towers(backbone):
    template, contexts = PromptTemplate(backbone, CLASSES, 4), contexts_for(backbone, 2, 4).requires_grad_()
    weight = torch.randn(2, 4, backbone.embed_dim, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    (found,) = torch.autograd.grad((template.encode_each(contexts) * weight).sum(), contexts)
    (expected,) = torch.autograd.grad((whole(backbone, template, contexts) * weight).sum(), contexts)
    assert expected.abs().max() > 1e-3
    torch.testing.assert_close(found, expected, **EXACT)


def test_one_context_for_all_or_one_for_each_class(backbone):
    template, context = PromptTemplate(backbone, CLASSES, 4), contexts_for(backbone, 1, 4)[0]
    with torch.no_grad():
        shared = template.encode(context)
        torch.testing.assert_close(template.encode(context.expand(4, -1, -1)), shared, **EXACT)
        each = contexts_for(backbone, 4, 4)
        expected = torch.stack([template.encode(each[row])[row] for row in range(4)])
        torch.testing.assert_close(template.encode(each), expected, **EXACT)


def test_patched_attention_is_heard(backbone):
    """While something is added to the text tower, the whole tower runs, so that the addition is not lost."""
    template, contexts = PromptTemplate(backbone, CLASSES, 4), contexts_for(backbone, 2, 4)
    site = projections(backbone, "text")[1]
    with torch.no_grad():
        plain = template.encode_each(contexts)
        with adding(backbone, {site: lambda x: x + 1}):
            assert not shared_prefix._plain(backbone)
            moved = template.encode_each(contexts)
            torch.testing.assert_close(moved, whole(backbone, template, contexts), **EXACT)
        assert (moved - plain).abs().max() > 1e-3
        torch.testing.assert_close(template.encode_each(contexts), plain, **EXACT)


@pytest.mark.parametrize("place", ["block", "mlp", "ln_1"])
def test_hooked_modules_are_heard(backbone, place):
    template, contexts = PromptTemplate(backbone, CLASSES, 4), contexts_for(backbone, 2, 4)
    block = backbone.text.transformer.resblocks[0]
    module = block if place == "block" else getattr(block, place)
    with torch.no_grad():
        plain = template.encode_each(contexts)
        hook = module.register_forward_hook(lambda *args: args[2] * 1.5)
        moved = template.encode_each(contexts)
        hook.remove()
        assert (moved - plain).abs().max() > 1e-3
        torch.testing.assert_close(template.encode_each(contexts), plain, **EXACT)


def test_the_template_holds_start_name_and_end(backbone):
    template = PromptTemplate(backbone, CLASSES, 3)
    encode = backbone.tokenizer.encode
    for row, name in enumerate(CLASSES.readable):
        ids = template.tokens.ids[row].tolist()
        assert ids[0] == backbone.tokenizer.sot_token_id
        assert ids[4 : 4 + len(encode(name + "."))] == encode(name + ".")
        assert int(template.ends.positions[row]) == 4 + len(encode(name + "."))
    assert template.prefix.shape == (4, 1, 32)
    assert template.suffix.shape[1] == template.tokens.ids.shape[1] - 4


@pytest.mark.parametrize("n_ctx", [1, 4])
def test_name_embeddings_are_those_of_the_bare_names(backbone, n_ctx):
    embeddings, mask = PromptTemplate(backbone, CLASSES, n_ctx).name_embeddings()
    for row, name in enumerate(CLASSES.readable):
        ids = backbone.tokenizer.encode(name)
        assert int(mask[row].sum()) == len(ids)
        assert torch.equal(embeddings[row, mask[row]], backbone.embed(torch.tensor(ids)))


@pytest.mark.parametrize("name", ["cat (b)", "dog!", "st."])
def test_name_embeddings_of_names_that_end_in_a_sign(backbone, name):
    """The full stop of the prompt may join the name's last sign in one token; the name is still what is attended to."""
    embeddings, mask = PromptTemplate(backbone, ClassList(("cat", name)), 4).name_embeddings()
    ids = backbone.tokenizer.encode(name)
    assert torch.equal(embeddings[1, mask[1]], backbone.embed(torch.tensor(ids)))


@pytest.mark.parametrize("closing", [".", ""])
def test_a_prompt_ends_as_the_data_sets_template_does(backbone, closing):
    """With or without a full stop: learnt context that starts at the template's own words starts as the template."""
    classes = ClassList(("red dog", "cat"), "an icon of a {}" + closing, "an icon of a")
    template = PromptTemplate(backbone, classes, 4)
    with torch.no_grad():
        found = template.encode(initial_context(backbone, "an icon of a", 4))
        torch.testing.assert_close(found, backbone.encode_texts(classes.texts()), atol=1e-4, rtol=1e-4)


ALIKE = ["a photo of a cat.", "a photo of a tree, a big one.", "a photo of a dog."]


@pytest.mark.parametrize("texts", [ALIKE, ["a dog"], ["cat", "dogs"]])
def test_sentences_that_begin_alike(backbone, texts):
    """Also one alone, and two that share the start token only."""
    tokens = backbone.tokenize(texts)
    assert torch.allclose(shared_prefix.encode_alike(backbone, tokens), backbone.encode_tokens(tokens), atol=1e-5)


def test_sentences_that_begin_alike_in_pieces(backbone, monkeypatch):
    tokens = backbone.tokenize(ALIKE)
    whole = shared_prefix.encode_alike(backbone, tokens)
    monkeypatch.setattr("benchmark.backbones.chunking.ROWS", 2)
    with torch.no_grad():
        assert torch.allclose(shared_prefix.encode_alike(backbone, tokens), whole, atol=1e-5)
