"""The adapter over open_clip: same numbers as open_clip's own calls, whichever layout a model has."""

from __future__ import annotations

import pytest
import torch
from PIL import Image

from benchmark.backbones.clip import Backbone, digest
from benchmark.config.errors import UserError
from benchmark.training.checks.tiny_clips import CONFIGS, pictures

TEXTS = ["a photo of a cat.", "a red dog", "boat", "an icon of a blue bird house"]
CLOSE = {"atol": 1e-5, "rtol": 1e-5}
every_backbone = pytest.mark.parametrize("name", ["native", "eva", "narrow", "stem"])


def pixels(count: int = 3) -> torch.Tensor:
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


# --- text ---------------------------------------------------------------------------------------------------------


@every_backbone
def test_text_features_are_open_clips(name, double):
    backbone = double(name)
    with torch.no_grad():
        expected = backbone.model.encode_text(backbone.tokenizer(TEXTS))
        torch.testing.assert_close(backbone.encode_texts(TEXTS), expected, atol=1e-9, rtol=1e-9)


@every_backbone
def test_padding_may_be_kept_or_cut(name, double):
    """A causal tower's output at end-of-text does not depend on what comes after, nor on how long it is."""
    backbone = double(name)
    ids = backbone.tokenizer(TEXTS)
    eot = ids.argmax(1)
    assert backbone.causal
    with torch.no_grad():
        whole = backbone.encode_embeddings(backbone.embed(ids), eot)
        for length in (int(eot.max()) + 1, int(eot.max()) + 3):
            cut = backbone.encode_embeddings(backbone.embed(ids[:, :length]), eot)
            torch.testing.assert_close(cut, whole, atol=1e-9, rtol=1e-9)
    assert backbone.tokenize(TEXTS).ids.shape[1] == int(eot.max()) + 1


@every_backbone
def test_end_of_text_is_found_in_each_row(name, backbones):
    backbone = backbones[name]
    tokens = backbone.tokenize(TEXTS)
    for row, text in enumerate(TEXTS):
        assert tokens.ids[row, tokens.eot[row]] == backbone.tokenizer.eot_token_id
        assert int(tokens.eot[row]) == len(backbone.tokenizer.encode(text)) + 1
        assert tokens.ids[row, 0] == backbone.tokenizer.sot_token_id


@every_backbone
def test_too_long_a_text_is_an_error_and_the_longest_fits(name, backbones):
    backbone = backbones[name]
    room = backbone.context_length - 2
    fits = " ".join(["cat"] * room)
    assert len(backbone.tokenizer.encode(fits)) == room
    assert int(backbone.tokenize([fits]).eot[0]) == backbone.context_length - 1
    with pytest.raises(UserError, match=f"longer than the {backbone.context_length} tokens of {name}"):
        backbone.tokenize(["cat", fits + " cat"])


def test_embeddings_longer_than_the_context_are_refused(backbones):
    with pytest.raises(ValueError, match="25 tokens given, native takes 24"):
        backbones["native"].encode_embeddings(torch.zeros(1, 25, 32), torch.tensor([3]))


@every_backbone
def test_shapes(name, backbones):
    backbone = backbones[name]
    cfg = CONFIGS[name]
    assert backbone.embed_dim == cfg["embed_dim"] == backbone.encode_texts(["cat"]).shape[1]
    assert backbone.context_length == cfg["text_cfg"]["context_length"]
    assert (backbone.text_width, backbone.text_layers, backbone.image_size) == (32, 2, 32)
    assert backbone.logit_bias is None


# --- images and logits --------------------------------------------------------------------------------------------


@every_backbone
def test_image_features_and_logits_are_open_clips(name, backbones):
    backbone = backbones[name]
    images = [Image.fromarray(picture) for picture in pictures([0, 1, 2])]
    batch = torch.stack([backbone.preprocess(image) for image in images])
    assert batch.shape == (3, 3, 32, 32)
    with torch.no_grad():
        expected, _ = backbone.model.get_logits(batch, backbone.tokenizer(TEXTS))
        features = backbone.encode_image(batch)
        assert torch.equal(features, backbone.model.encode_image(batch))
        torch.testing.assert_close(backbone.logits(features, backbone.encode_texts(TEXTS)), expected, atol=1e-4, rtol=1e-5)


def test_preprocessing_is_that_of_the_folders_config(backbones):
    """32 px in, 32 px out: only scaled to [0, 1], less mean 0.5, over standard deviation 0.25."""
    picture = pictures([3])[0]
    expected = (torch.from_numpy(picture).permute(2, 0, 1).float() / 255 - 0.5) / 0.25
    torch.testing.assert_close(backbones["native"].preprocess(Image.fromarray(picture)), expected, atol=1e-6, rtol=1e-6)


def test_logits_with_texts_made_per_image(backbones):
    backbone, generator = backbones["native"], torch.Generator().manual_seed(1)
    images, texts = torch.randn(4, 32, generator=generator), torch.randn(5, 32, generator=generator)
    shared = backbone.logits(images, texts)
    assert torch.allclose(backbone.logits(images, texts.expand(4, -1, -1)), shared, atol=1e-5)
    assert torch.allclose(backbone.logits(3 * images, 7 * texts), shared, atol=1e-5)  # lengths do not matter


def test_logit_bias_is_added(load_backbone):
    backbone = load_backbone("native")
    images, texts = torch.randn(2, 32), torch.randn(3, 32)
    plain = backbone.logits(images, texts)
    backbone.model.logit_bias = torch.nn.Parameter(torch.tensor(-2.5), requires_grad=False)
    torch.testing.assert_close(backbone.logits(images, texts), plain - 2.5)


# --- the digest ---------------------------------------------------------------------------------------------------


def test_digest_changes_with_any_weight_and_only_then(load_backbone):
    backbone = load_backbone("native")
    assert load_backbone("native").digest == backbone.digest == digest(backbone.model)
    for name, value in backbone.model.state_dict().items():
        if not value.numel() or not value.is_floating_point():
            continue
        before = value.reshape(-1)[0].item()
        value.reshape(-1)[0] = before + 1
        assert digest(backbone.model) != backbone.digest, name
        value.reshape(-1)[0] = before
    assert digest(backbone.model) == backbone.digest


def test_all_digests_differ(backbones):
    assert len({backbone.digest for backbone in backbones.values()}) == len(backbones)


def test_nothing_of_a_backbone_can_be_trained(backbones):
    for backbone in backbones.values():
        assert not any(parameter.requires_grad for parameter in backbone.model.parameters())
        assert not any(module.training for module in backbone.model.modules())


def test_a_tower_without_token_embeddings_is_refused(load_backbone):
    model = load_backbone("eva").model
    model.text = torch.nn.Linear(2, 2)
    with pytest.raises(UserError, match=r"text tower \(Linear\) has no token embeddings"):
        Backbone("odd", model, None, None, torch.device("cpu"))
