"""Loading with open_clip: tags, files and folders, and never random weights by accident."""

from __future__ import annotations

import argparse
import json
import shutil

import numpy as np
import open_clip
import pytest
import torch
from fixtures.folders import refusal
from safetensors.torch import load_file, save_file

from benchmark.backbones.clip import Backbone
from benchmark.config.errors import UserError
from benchmark.config.schema import BackboneSpec
from benchmark.training.checks.tiny_clips import CONFIGS

TEXTS = ["a photo of a cat.", "a red dog", "boat", "an icon of a blue bird house"]


def test_random_weights_only_when_asked_for(monkeypatch):
    """And then the same ones for a seed."""
    cfg = {**CONFIGS["native"], "text_cfg": {**CONFIGS["native"]["text_cfg"], "vocab_size": 49408}}
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny-test", cfg)
    one, two, other = (
        Backbone.load("b", BackboneSpec(model="tiny-test", pretrained="random", seed=seed)).digest for seed in (1, 1, 2)
    )
    assert one == two != other
    with pytest.raises(UserError, match="neither a tag"):
        Backbone.load("b", BackboneSpec(model="tiny-test", pretrained="nothing"))
    with pytest.raises(ValueError, match="random"):
        BackboneSpec(model="tiny-test")


def test_a_checkpoint_file_is_loaded(monkeypatch, load_backbone, tmp_path):
    original = load_backbone("native")
    cfg = json.loads(json.dumps(CONFIGS["native"]))
    cfg["text_cfg"]["vocab_size"] = original.model.token_embedding.num_embeddings
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny-test", cfg)
    file = tmp_path / "weights.pt"
    torch.save(original.model.state_dict(), file)
    assert Backbone.load("b", BackboneSpec(model="tiny-test", pretrained=str(file))).digest == original.digest


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning", "ignore:.*torch.jit:DeprecationWarning")
def test_a_file_as_openai_published_it_is_loaded(monkeypatch, load_backbone, tmp_path, recwarn):
    """``ViT-B-16.pt`` of CoOp's users: a TorchScript archive with matrices in half precision and three sizes."""
    state = {name: value.half().float() for name, value in load_backbone("native").model.state_dict().items()}
    archive = torch.nn.Module()
    sizes = {name: torch.tensor(0) for name in ("input_resolution", "context_length", "vocab_size")}
    for name, value in {**state, **sizes}.items():
        *path, leaf = name.split(".")
        module = archive
        for part in path:
            if not hasattr(module, part):
                module.add_module(part, torch.nn.Module())
            module = getattr(module, part)
        module.register_buffer(leaf, value.half() if value.ndim > 1 else value)
    file = tmp_path / "ViT-B-16.pt"
    torch.jit.script(archive).save(str(file))
    cfg = json.loads(json.dumps(CONFIGS["native"]))
    cfg["text_cfg"]["vocab_size"] = len(state["token_embedding.weight"])
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny-test", cfg)
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "plain-test", {**cfg, "quick_gelu": False})
    recwarn.clear()
    loaded = Backbone.load("b", BackboneSpec(model="tiny-test", pretrained=str(file)))
    assert not recwarn.list
    found = loaded.model.state_dict()
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], value) for name, value in state.items())
    with pytest.raises(UserError, match=r"QuickGELU \(fix: name the '-quickgelu' variant"):
        Backbone.load("b", BackboneSpec(model="plain-test", pretrained=str(file)))


def test_weights_with_a_tensor_missing_are_refused(backbone_folders, tmp_path):
    """Never random weights by accident."""
    folder = tmp_path / "w"
    shutil.copytree(backbone_folders["native"], folder)
    weights = load_file(folder / "open_clip_model.safetensors")
    del weights["visual.proj"]
    save_file(weights, folder / "open_clip_model.safetensors")
    with pytest.raises(UserError, match=r"visual\.proj"):
        Backbone.load("b", BackboneSpec(model=f"local-dir:{folder}"))


def test_quick_gelu_of_the_config_is_used(backbone_folders, backbones, tmp_path):
    folder = tmp_path / "w"
    shutil.copytree(backbone_folders["native"], folder)
    config = json.loads((folder / "open_clip_config.json").read_text())
    config["model_cfg"]["quick_gelu"] = False
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    plain = Backbone.load("b", BackboneSpec(model=f"local-dir:{folder}"))
    with torch.no_grad():
        assert not torch.allclose(plain.encode_texts(TEXTS), backbones["native"].encode_texts(TEXTS), atol=1e-3)


def test_a_folder_can_be_loaded_from_anywhere(backbone_folders, backbones, monkeypatch, tmp_path):
    """Its merges are found beside its config, not in the current folder."""
    monkeypatch.chdir(tmp_path)
    loaded = Backbone.load("b", BackboneSpec(model=f"local-dir:{backbone_folders['eva']}"))
    assert loaded.tokenize(TEXTS).ids.tolist() == backbones["eva"].tokenize(TEXTS).ids.tolist()
    assert loaded.tokenizer.vocab_size == backbones["eva"].text.token_embedding.num_embeddings


# --- files and folders as people have them -------------------------------------------------------------------------------


@pytest.fixture
def tiny(monkeypatch, load_backbone):
    """The tiny CLIP as an architecture of open_clip's, and its weights."""
    original = load_backbone("native")
    cfg = json.loads(json.dumps(CONFIGS["native"]))
    cfg["text_cfg"]["vocab_size"] = original.model.token_embedding.num_embeddings
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny-test", cfg)
    return original


WRAPPED = {
    "a numpy number": lambda state: {"best": np.float64(0.5), "state_dict": state},
    "options": lambda state: {"args": argparse.Namespace(lr=1), "model": state},
    "compiled": lambda state: {f"_orig_mod.{name}": value for name, value in state.items()},
    "parallel": lambda state: {"state_dict": {f"module.{name}": value for name, value in state.items()}},
}


@pytest.mark.parametrize("kind", WRAPPED)
def test_wrapped_weights_are_loaded(kind, tiny, tmp_path):
    torch.save(WRAPPED[kind](tiny.model.state_dict()), tmp_path / "w.pt")
    loaded = Backbone.load("b", BackboneSpec(model="tiny-test", pretrained=str(tmp_path / "w.pt")))
    assert loaded.digest == tiny.digest


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"text_model.a": torch.ones(1), "vision_model.b": torch.ones(1)}, "the names of transformers"),
        ({"epoch": 1, "optimizer": {}}, "holds no weights, but 'epoch', 'optimizer'"),
        ({"a": torch.ones(1), "b": torch.ones(1)}, "cannot be loaded"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"hello", "damaged or not a checkpoint"),
    ],
)
def test_other_files_are_told_apart(content, words, tiny, tmp_path):
    file = tmp_path / "w.pt"
    file.write_bytes(content) if isinstance(content, bytes) else torch.save(content, file)
    line = refusal(lambda: Backbone.load("b", BackboneSpec(model="tiny-test", pretrained=str(file))))
    assert words in line
    assert "backbone 'b'" in line


def pointer(folder):
    (folder / "open_clip_model.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")


def renamed(folder):
    (folder / "open_clip_model.safetensors").rename(folder / "open_clip_pytorch_model.bin")


def without_merges(folder):
    config = json.loads((folder / "open_clip_config.json").read_text())
    (folder / config["model_cfg"]["text_cfg"]["tokenizer_kwargs"]["bpe_path"]).unlink()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (pointer, "git lfs pull"),
        (renamed, "is a safetensors file (fix: rename it to open_clip_model.safetensors"),
        (without_merges, "is not in"),
        (lambda folder: (folder / "open_clip_config.json").write_text("[]"), "has no model"),
    ],
)
def test_the_usual_mistakes_in_a_folder(change, words, backbone_folders, tmp_path):
    folder = shutil.copytree(backbone_folders["native"], tmp_path / "w")
    change(folder)
    assert words in refusal(lambda: Backbone.load("b", BackboneSpec(model=f"local-dir:{folder}")))
