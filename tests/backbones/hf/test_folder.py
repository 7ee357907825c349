"""Folders of transformers: what is read, and what is missing or broken."""

from __future__ import annotations

import json
import shutil

import torch
from fixtures.command import run
from fixtures.hf import clip, load, refusal
from safetensors.torch import load_file, save_file


def test_preprocessing_is_read(tmp_path):
    clip(tmp_path)
    told = {"size": {"shortest_edge": 32}, "resample": 2, "image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(told))
    resize, *_, normalise = load(tmp_path).transform.transforms
    assert resize.interpolation.value == "bilinear"
    assert (list(normalise.mean), list(normalise.std)) == (told["image_mean"], told["image_std"])


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
    assert "no open_clip_config.json in" in refusal(tmp_path)


def test_it_is_named_like_any_other_backbone(tmp_path):
    """In the command that takes two of them."""
    one, other = clip(tmp_path / "one", max_position_embeddings=77), tmp_path / "other"
    shutil.copytree(one, other)
    done = run("relatedness", f"local-dir:{one}", f"local-dir:{other}")
    assert done.status == 0, done.err
    assert "1.00" in done.out
