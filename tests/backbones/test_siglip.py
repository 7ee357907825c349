"""Backbones laid out as SigLIP's: a text tower that is not causal and is read at the last position, a tokenizer without a
start token that pads to a fixed length, a logit bias, an image tower with attention pooling."""

from __future__ import annotations

import re

import pytest
import torch
from fixtures.siglip import CONTEXT, WIDTH

from benchmark.backbones import sanity
from benchmark.backbones.clip import Backbone, digest
from benchmark.config.errors import UserError
from benchmark.data.batch import ClassList
from benchmark.data.features import FeatureStore
from benchmark.method import registry
from benchmark.method.prompts import PromptTemplate, initial_context
from benchmark.method.terms import Incompatible
from benchmark.training.checks import tiny_clips
from benchmark.training.checks.tiny_clips import CLASSES
from benchmark.training.evaluation import predict
from benchmark.training.loop import few_shots, fit
from benchmark.training.modules import attach

METHODS = registry.methods()
LEARNERS = [name for name in sorted(METHODS.plugins) if METHODS[name].cls.info.tunes]
TEXTS = ["a photo of a cat.", "A red dog!", "boat", "an icon of a blue_bird house"]
CLOSE = {"atol": 1e-5, "rtol": 1e-5}

every_method = pytest.mark.parametrize("name", sorted(METHODS.plugins))
every_learner = pytest.mark.parametrize("name", LEARNERS)


# --- the adapter -----------------------------------------------------------------------------------------------------


def test_is_what_it_claims_to_be(siglip):
    assert (siglip.causal, siglip.text.pool, siglip.text.mask) == (False, "last", None)
    assert (siglip.text_width, siglip.embed_dim, siglip.context_length) == (WIDTH, WIDTH, CONTEXT)
    assert float(siglip.logit_bias) == -10
    assert sanity.check(siglip) == []


def test_features_and_logits_are_open_clips(siglip):
    ids, pixels = siglip.tokenizer(TEXTS), torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        texts, images = siglip.encode_texts(TEXTS), siglip.encode_image(pixels)
        torch.testing.assert_close(texts, siglip.model.encode_text(ids), **CLOSE)
        torch.testing.assert_close(images, siglip.model.encode_image(pixels), **CLOSE)
        torch.testing.assert_close(siglip.logits(images, texts), siglip.model.get_logits(pixels, ids)[0], **CLOSE)
    assert (texts[0] - texts[1]).abs().max() > 0.1


def test_texts_have_an_end_and_no_start(siglip):
    tokens = siglip.tokenize(TEXTS)
    assert tokens.ids.tolist() == siglip.tokenizer(TEXTS).tolist(), "not causal: nothing may be cut"
    assert tokens.start == 0
    for row, text in enumerate(TEXTS):
        pieces = siglip.tokenizer.pieces(text)
        assert tokens.ids[row, : tokens.end[row]].tolist() == pieces
        assert int(tokens.eot[row]) == CONTEXT - 1


def test_too_long_a_text_is_an_error_and_the_longest_fits(siglip):
    """Its tokenizer cuts silently, and a text that is cut ends like one that fits."""
    fits = " ".join(["cat"] * (CONTEXT - 1))
    assert int(siglip.tokenize([fits]).end[0]) == CONTEXT - 1
    with pytest.raises(UserError, match=f"cat' is longer than the {CONTEXT} tokens of siglip"):
        siglip.tokenize(["cat", fits + " cat"])


# --- prompts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("on", ["siglip", "native", "eva"])
def test_context_of_word_embeddings_is_the_sentence_of_these_words(on, siglip, backbones):
    """Wherever a tokenizer puts its special tokens: the class name is whole, and the context stands before it."""
    backbone = siglip if on == "siglip" else backbones[on]
    words = "an icon of"
    tokens = backbone.tokenize([words])
    count = int(tokens.end[0]) - tokens.start
    classes = ClassList(CLASSES)
    with torch.no_grad():
        context = initial_context(backbone, words, count)
        expected = backbone.encode_texts([f"{words} {name}." for name in classes.readable])
        template = PromptTemplate(backbone, classes, count)
        torch.testing.assert_close(template.encode(context), expected, **CLOSE)
        torch.testing.assert_close(template.encode_each(context[None])[0], expected, **CLOSE)
    assert torch.pdist(expected).min() > 0.01


def test_prompts_have_room_for_the_class_name_and_no_more(siglip):
    name = " ".join(["cat"] * 35)
    assert int(PromptTemplate(siglip, ClassList(("dog", name)), 4).tokens.end[1]) == CONTEXT - 1
    with pytest.raises(UserError, match=f"a class name after 5 context tokens is longer than the {CONTEXT} tokens"):
        PromptTemplate(siglip, ClassList(("dog", name)), 5)


def test_name_embeddings_are_those_of_the_names(siglip):
    classes = ClassList(CLASSES)
    embeddings, mask = PromptTemplate(siglip, classes, 4).name_embeddings()
    for row, name in enumerate(classes.readable):
        ids = torch.tensor(siglip.tokenizer.pieces(name))
        assert torch.equal(embeddings[row, mask[row]], siglip.embed(ids))


# --- methods ---------------------------------------------------------------------------------------------------------


def run(name: str, backbone: Backbone):
    """Train a method for two steps."""
    cls, task = METHODS[name].cls, tiny_clips.task()
    config = cls.Config.model_validate(cls.presets.get("small", {}) | {"steps": 2, "batch_size": 6, "views": 1})
    assert cls.incompatibility(config, backbone) is None
    store = FeatureStore(None)
    torch.manual_seed(1)
    shown = few_shots(config, backbone, task, store)
    method = cls(config, backbone, task.class_list(), shown)
    before = method.tensors()
    fit(method, task, store)
    after = method.tensors()
    assert all(torch.isfinite(value).all() for value in after.values())
    assert not any(p.requires_grad for p in method.parameters()) or any(
        not torch.equal(before[key], after[key]) for key in before
    )
    return method


def moved(method, backbone: Backbone):
    shown = few_shots(method.config, backbone, tiny_clips.task(), FeatureStore(None)) if method.info.keeps_images else None
    return attach(type(method), method.config, backbone, method.classes, method.tensors(), shown)


def predictions(method, examples):
    return predict(method, FeatureStore(None).testing(method.backbone, examples, pixels=method.needs_pixels))


@every_method
def test_every_method_works_on_it(name, siglip, other_siglip, examples):
    """Trained on one, tested on it and on another with the same shapes."""
    method = run(name, siglip)
    for backbone in (siglip, other_siglip):
        attached = moved(method, backbone)
        assert len(set(predictions(attached, examples).tolist())) > 1
        assert digest(backbone.model) == backbone.digest


@pytest.mark.slow
@every_learner
@pytest.mark.parametrize("there", [True, False], ids=["to it", "from it"])
def test_what_does_not_fit_it_says_why(name, there, siglip, backbones):
    """A tower of another width, as OpenAI's ViT-B/16 and SigLIP's are; what is made of words or of images fits."""
    old, new = (backbones["native"], siglip) if there else (siglip, backbones["native"])
    method = run(name, old)
    if name in ("word-prompt", "tip-adapter"):
        assert torch.isfinite(moved(method, new).tensors()[sorted(method.tensors())[0]]).all()
        return
    with pytest.raises(Incompatible) as caught:
        moved(method, new)
    said = rf"^[\w.]+ is (absent|[\w ]*\b\d+\b[\w ]*) in the module but must be (absent|[\w ]*\b\d+\b[\w ]*) on {new.name}$"
    assert re.match(said, str(caught.value)), str(caught.value)


# --- towers that prompts cannot enter --------------------------------------------------------------------------------


def test_a_tower_with_a_token_of_its_own_is_refused(load_siglip):
    with pytest.raises(UserError, match=r"backbone 'coca': its text tower appends a token of its own, as CoCa's"):
        load_siglip("coca", 3, embed_cls=True, no_causal_mask=False)


def test_features_that_are_not_the_models_own_are_refused(load_siglip):
    """Whatever a tower does beside what the adapter knows of."""
    backbone = load_siglip("hooked", 4)
    backbone.model.text.register_forward_hook(lambda module, inputs, features: features.flip(-1))
    with pytest.raises(UserError, match=r"backbone 'hooked': its text tower has a part .* that prompts would miss"):
        sanity.check(backbone)
