"""Loading with open_clip: tags, files and folders, and never random weights by accident."""

from __future__ import annotations

import json
import shutil

import open_clip
import pytest
import torch
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
