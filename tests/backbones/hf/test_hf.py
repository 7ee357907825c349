"""Models of transformers as backbones: their features are those that transformers computes."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from fixtures.command import run
from safetensors.torch import load_file, save_file

from benchmark.backbones import sanity
from benchmark.backbones.clip import Backbone
from benchmark.backbones.hf import needs_package
from benchmark.backbones.towers import tower
from benchmark.config.errors import UserError
from benchmark.config.schema import BackboneSpec

transformers = pytest.importorskip("transformers", reason="the extra hf is not installed")
tokenizers = pytest.importorskip("tokenizers", reason="the extra hf is not installed")

WORDS = ("a", "photo", "of", "cat", "sea", "red", "dog", ".", "engine", "diagram", "an", "the", "at", "night")
TEXTS = ["a photo of a cat.", "the sea at night.", "a diagram of an engine."]
SIZES = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
IMAGE = {"image_size": 32, "patch_size": 16}


def written(model, folder, tokenizer=None):
    model.eval().save_pretrained(folder)
    if tokenizer is not None:
        tokenizer.save_pretrained(folder)
    return folder


def words(end: str, start: str | None = None):
    """A tokenizer of whole words in transformers' own format."""
    special = ["<pad>", "<unk>", *([start] if start else []), *WORDS, end]
    model = tokenizers.models.WordLevel({word: number for number, word in enumerate(special)}, unk_token="<unk>")
    fast = tokenizers.Tokenizer(model)
    fast.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    ids = fast.token_to_id
    single = f"{start} $A {end}" if start else f"$A {end}"
    named = [(end, ids(end)), *([(start, ids(start))] if start else [])]
    fast.post_processor = tokenizers.processors.TemplateProcessing(single=single, special_tokens=named)
    given = {"tokenizer_object": fast, "eos_token": end, "pad_token": end, "unk_token": "<unk>"}
    return transformers.PreTrainedTokenizerFast(**given, **({"bos_token": start} if start else {})), len(special)


def clip(folder, **text):
    torch.manual_seed(4)
    given = {**SIZES, "max_position_embeddings": 24} | text
    vision = {**SIZES, "hidden_size": 48, "num_attention_heads": 3, **IMAGE}
    config = transformers.CLIPConfig(text_config=given, vision_config=vision, projection_dim=24)
    return written(transformers.CLIPModel(config), folder)


def siglip(folder):
    torch.manual_seed(5)
    tokenizer, size = words("</s>")
    text = {**SIZES, "vocab_size": size, "max_position_embeddings": 16, "bos_token_id": None, "eos_token_id": size - 1}
    config = transformers.SiglipConfig(text_config=text, vision_config={**SIZES, **IMAGE})
    return written(transformers.SiglipModel(config), folder, tokenizer)


def load(folder) -> Backbone:
    return Backbone.load("theirs", BackboneSpec(model=f"local-dir:{folder}"))


def features(model, ids, pixels):
    with torch.no_grad():
        found = model.get_text_features(input_ids=ids), model.get_image_features(pixel_values=pixels)
    return [getattr(value, "pooler_output", value) for value in found]  # a tensor before transformers 5


def check(folder, cls):
    backbone, model = load(folder), cls.from_pretrained(folder).eval()
    pixels = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(6))
    text, image = features(model, backbone.tokenizer(TEXTS), pixels)
    torch.testing.assert_close(backbone.encode_texts(TEXTS), text, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(backbone.encode_image(pixels), image, atol=1e-5, rtol=1e-4)
    assert float(backbone.logit_scale) == pytest.approx(float(model.logit_scale.exp()))
    return backbone, model


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


def test_siglip(tmp_path):
    backbone, model = check(siglip(tmp_path), transformers.SiglipModel)
    assert float(backbone.logit_bias) == pytest.approx(float(model.logit_bias))
    assert tower(backbone, "vision").pooling() is not None
    assert load(tmp_path).digest == backbone.digest, "its image tower is registered once"


def test_preprocessing_is_read(tmp_path):
    clip(tmp_path)
    told = {"size": {"shortest_edge": 32}, "resample": 2, "image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(told))
    resize, *_, normalise = load(tmp_path).transform.transforms
    assert resize.interpolation.value == "bilinear"
    assert (list(normalise.mean), list(normalise.std)) == (told["image_mean"], told["image_std"])


# --- what is missing or broken ------------------------------------------------------------------------------------------


def refusal(folder) -> str:
    with pytest.raises(UserError) as caught:
        load(folder)
    return str(caught.value)


def test_another_architecture(tmp_path):
    clip(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"model_type": "blip"}))
    assert "holds a model of the type 'blip'; known are clip, siglip" in refusal(tmp_path)
    (tmp_path / "config.json").write_text("[]]")
    assert "config.json is not JSON with settings" in refusal(tmp_path)


def test_weights_that_are_absent_too_many_or_of_other_sizes(tmp_path):
    file = clip(tmp_path) / "model.safetensors"
    state = load_file(file)
    save_file({name: value for name, value in state.items() if "layers.1.self_attn.k_proj.bias" not in name}, file)
    assert "the weights in" in refusal(tmp_path)
    save_file(state | {"head.weight": torch.zeros(2)}, file)
    assert "have head.weight, which is not known" in refusal(tmp_path)
    save_file(state | {"visual_projection.weight": torch.zeros(5, 48)}, file)
    assert "does not fit its config.json: size mismatch for visual.proj" in refusal(tmp_path)
    file.unlink()
    assert "no model.safetensors or pytorch_model.bin" in refusal(tmp_path)


def test_a_folder_of_neither_format(tmp_path):
    assert "neither open_clip_config.json nor config.json" in refusal(tmp_path)


def test_it_is_named_like_any_other_backbone(tmp_path):
    """In the command that takes two of them."""
    one, other = clip(tmp_path / "one", max_position_embeddings=77), tmp_path / "other"
    shutil.copytree(one, other)
    done = run("relatedness", f"local-dir:{one}", f"local-dir:{other}")
    assert done.status == 0, done.err
    assert "1.00" in done.out
