"""Backbones laid out as SigLIP's: a text tower that is not causal and is read at the last position, a tokenizer without a
start token that pads to a fixed length, a logit bias, an image tower with attention pooling."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import open_clip
import pytest
import torch
from open_clip.model import CustomTextCLIP
from open_clip.tokenizer import get_clean_fn
from safetensors.torch import save_file
from timm.models import register_model
from timm.models.vision_transformer import VisionTransformer

from benchmark.backbones import sanity
from benchmark.backbones.clip import Backbone, digest
from benchmark.config.errors import UserError
from benchmark.config.schema import BackboneSpec
from benchmark.data.batch import ClassList
from benchmark.data.features import FeatureStore
from benchmark.method import registry
from benchmark.method.base import Incompatible
from benchmark.method.prompts import PromptTemplate, initial_context
from benchmark.training.checks import tiny_clips
from benchmark.training.checks.tiny_clips import CLASSES, WORDS
from benchmark.training.evaluation import attach, predict
from benchmark.training.loop import few_shots, fit

METHODS = registry.methods()
LEARNERS = [name for name in sorted(METHODS.plugins) if METHODS[name].cls.info.tunes]
TEXTS = ["a photo of a cat.", "A red dog!", "boat", "an icon of a blue_bird house"]
WIDTH, CONTEXT = 48, 40
CLOSE = {"atol": 1e-5, "rtol": 1e-5}

every_method = pytest.mark.parametrize("name", sorted(METHODS.plugins))
every_learner = pytest.mark.parametrize("name", LEARNERS)


class Pieces:
    """Stands in for open_clip's wrapper of SigLIP's tokenizer: pieces, </s>, and </s> again up to the full length.

    A word of the vocabulary is one piece, another is a space and its letters, as T5's vocabulary has it even for "a".
    """

    EOS, SPACE = 1, 2

    def __init__(self, source, context_length, clean="whitespace", **_):
        self.context_length, self.clean = context_length, get_clean_fn(clean)
        words = [word for word in dict.fromkeys(WORDS) if len(word) > 1]
        self.ids = {word: number for number, word in enumerate([*words, *"abcdefghijklmnopqrstuvwxyz"], start=3)}

    def pieces(self, text: str) -> list[int]:
        found = []
        for word in self.clean(text).split():
            found += [self.ids[word]] if len(word) > 1 and word in self.ids else [self.SPACE, *map(self.ids.get, word)]
        return found

    def __call__(self, texts, context_length=None):
        length = context_length or self.context_length
        rows = [[*self.pieces(text)[: length - 1], self.EOS] for text in ([texts] if isinstance(texts, str) else texts)]
        return torch.tensor([row + [self.EOS] * (length - len(row)) for row in rows])


@register_model
def attention_pooled_vit(pretrained=False, **options):
    """Two blocks of width 48 on 4 patches, without class token."""
    kept = {name: value for name, value in options.items() if name in ("num_classes", "global_pool")}
    shape = {"img_size": 32, "patch_size": 16, "embed_dim": WIDTH, "depth": 2, "num_heads": 2}
    return VisionTransformer(**shape, class_token=False, **kept)


def write(folder: Path, seed: int, **text) -> Path:
    """A random model as a ``local-dir`` folder; its description is that of open_clip's ViT-B-16-SigLIP but for sizes."""
    known = open_clip.get_model_config("ViT-B-16-SigLIP")
    vision = known["vision_cfg"] | {"image_size": 32, "timm_model_name": "attention_pooled_vit"}
    sizes = {"context_length": CONTEXT, "vocab_size": 64, "width": WIDTH, "heads": 2, "layers": 2}
    model_cfg = known | {"embed_dim": WIDTH, "vision_cfg": vision, "text_cfg": known["text_cfg"] | sizes | text}
    preprocess = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "resize_mode": "squash"}
    folder.mkdir()
    content = {"model_cfg": model_cfg, "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(content))
    torch.manual_seed(seed)
    model = CustomTextCLIP(**{key: value for key, value in model_cfg.items() if key != "custom_text"})
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "token_embedding" in name:
                value.normal_(std=0.5)
            elif value.ndim > 1:
                value.mul_(8.0 if name.startswith("visual") else 2.5)
        model.logit_scale.fill_(math.log(12.0))
    weights = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(weights, folder / "open_clip_model.safetensors")
    return folder


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    """Make and load such a backbone with a seed for its weights."""
    place = tmp_path_factory.mktemp("siglip")

    def make(name: str, seed: int, **text) -> Backbone:
        return Backbone.load(name, BackboneSpec(model=f"local-dir:{write(place / name, seed, **text)}"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(open_clip.factory, "HFTokenizer", Pieces)
        yield make


@pytest.fixture(scope="module")
def siglip(load) -> Backbone:
    return load("siglip", 1)


@pytest.fixture(scope="module")
def other(load) -> Backbone:
    return load("other", 2)


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
    """Train a method for two steps; a method that cannot work on the backbone says why, and that ends the test."""
    cls, task = METHODS[name].cls, tiny_clips.task()
    config = cls.Config.model_validate(cls.presets.get("small", {}) | {"steps": 2, "batch_size": 6, "views": 1})
    why = cls.incompatibility(config, backbone)
    if why:
        assert "does not read a class token" in why
        assert name in ("vpt", "ivlp", "maple", "promptsrc")
        pytest.skip(why)
    store = FeatureStore(None)
    torch.manual_seed(1)
    shown = few_shots(backbone, task, store)
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
    shown = few_shots(backbone, tiny_clips.task(), FeatureStore(None)) if method.info.keeps_images else None
    return attach(type(method), method.config, backbone, method.classes, method.tensors(), shown)


def predictions(method, examples):
    return predict(method, FeatureStore(None).testing(method.backbone, examples, pixels=method.needs_pixels))


@every_method
def test_every_method_works_on_it(name, siglip, other, examples):
    """Trained on one, tested on it and on another with the same shapes."""
    method = run(name, siglip)
    for backbone in (siglip, other):
        attached = moved(method, backbone)
        assert len(set(predictions(attached, examples).tolist())) > 1
        assert digest(backbone.model) == backbone.digest


@every_learner
@pytest.mark.parametrize("there", [True, False], ids=["to it", "from it"])
def test_what_does_not_fit_it_says_why(name, there, siglip, backbones):
    """A tower of another width, as OpenAI's ViT-B/16 and SigLIP's are; what is made of words or of images fits."""
    old, new = (backbones["native"], siglip) if there else (siglip, backbones["native"])
    method = run(name, old)
    if name in ("word-prompt", "tip-adapter"):
        assert torch.isfinite(moved(method, new).tensors()[sorted(method.tensors())[0]]).all()
        return
    if type(method).incompatibility(method.config, new):
        return
    with pytest.raises(Incompatible) as caught:
        moved(method, new)
    said = rf"^[\w.]+ is (absent|[\w ]*\b\d+\b[\w ]*) in the module but must be (absent|[\w ]*\b\d+\b[\w ]*) on {new.name}$"
    assert re.match(said, str(caught.value)), str(caught.value)


# --- towers that prompts cannot enter --------------------------------------------------------------------------------


def test_a_tower_with_a_token_of_its_own_is_refused(load):
    with pytest.raises(UserError, match=r"backbone 'coca': its text tower appends a token of its own, as CoCa's"):
        load("coca", 3, embed_cls=True, no_causal_mask=False)


def test_features_that_are_not_the_models_own_are_refused(load):
    """Whatever a tower does beside what the adapter knows of."""
    backbone = load("hooked", 4)
    backbone.model.text.register_forward_hook(lambda module, inputs, features: features.flip(-1))
    with pytest.raises(UserError, match=r"backbone 'hooked': its text tower has a part .* that prompts would miss"):
        sanity.check(backbone)
