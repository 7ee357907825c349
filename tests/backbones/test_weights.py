"""Where weights lie on this machine: what open_clip would take from the caches is found, and nothing is downloaded."""

from __future__ import annotations

import importlib.util
import json
import logging

import pytest
import torch
from fixtures.hub import ADDRESS, ARCHITECTURE, HUB, NAMED, URL, WITH_TOKENIZER
from safetensors.torch import save_file

from benchmark.backbones import weights
from benchmark.backbones.clip import Backbone
from benchmark.config.errors import UserError
from benchmark.config.schema import BackboneSpec

pytestmark = pytest.mark.usefixtures("no_network", "tiny_models")


def lacking(spec: BackboneSpec) -> str:
    """What is missing of a backbone; empty if nothing."""
    found = weights.missing("b", spec)
    assert found is None or (found.fetchable and found.what == "weights of backbone 'b'" and "--prepare" in found.how)
    return found.reason if found else ""


def test_weights_in_the_cache_are_found_and_can_be_loaded(hub, tiny_state):
    assert lacking(HUB) == "not on this machine: org/tiny"
    save_file(tiny_state, hub.place("org/tiny", "open_clip_model.safetensors"))
    assert lacking(HUB) == ""
    backbone = Backbone.load("b", HUB)
    assert torch.equal(backbone.model.state_dict()["text_projection"], tiny_state["text_projection"])


@pytest.mark.parametrize(
    ("spec", "files"),
    [
        (HUB, ["open_clip_pytorch_model.bin"]),
        (HUB, ["open_clip_model.safetensors"]),
        (NAMED, ["tiny.bin"]),
        (NAMED, ["tiny.safetensors"]),
    ],
)
def test_the_files_that_open_clip_would_take(spec, files, hub):
    for other in ("config.json", "model.safetensors", "open_clip_config.json"):
        hub.put("org/tiny", other)
    assert "org/tiny" in lacking(spec)
    for file in files:
        hub.put("org/tiny", file)
    assert lacking(spec) == ""


def test_a_link_to_nothing_is_nothing(hub):
    """As an interrupted download or a cleaned cache leaves it."""
    hub.place("org/tiny", "open_clip_model.safetensors").symlink_to(hub.root / "blobs" / "gone")
    assert lacking(HUB)


def test_weights_from_an_address(hub, tmp_path):
    assert lacking(ADDRESS) == f"not on this machine: {URL}"
    file = tmp_path / "home" / ".cache" / "clip" / "tiny-0123.pt"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"")
    assert lacking(ADDRESS) == ""


def test_a_repository_of_the_hub_needs_its_description_too(hub, tiny_state):
    spec = BackboneSpec(model="hf-hub:org/other")
    assert lacking(spec) == "not on this machine: org/other/open_clip_config.json, org/other"
    save_file(tiny_state, hub.place("org/other", "open_clip_model.safetensors"))
    assert lacking(spec) == "not on this machine: org/other/open_clip_config.json"
    hub.put("org/other", "open_clip_config.json", json.dumps({"model_cfg": ARCHITECTURE}).encode())
    assert lacking(spec) == ""
    assert Backbone.load("b", spec).embed_dim == 32


@pytest.mark.parametrize("form", ["tag", "repository"])
def test_a_tokenizer_that_open_clip_does_not_have(form, hub, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    spec = BackboneSpec(model="wordy", pretrained="hub")
    hub.put("org/tiny", "open_clip_model.safetensors")
    if form == "repository":
        spec = BackboneSpec(model="hf-hub:org/tiny")
        hub.put("org/tiny", "open_clip_config.json", json.dumps({"model_cfg": WITH_TOKENIZER}).encode())
    assert lacking(spec) == "not on this machine: tokenizer of org/words"
    hub.put("org/words", "tokenizer.json")
    assert lacking(spec) == ""


def test_the_package_of_such_a_tokenizer_is_asked_for_first(hub, monkeypatch):
    """And not found missing in the middle of loading."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    hub.put("org/tiny", "open_clip_model.safetensors")
    found = weights.missing("b", BackboneSpec(model="wordy", pretrained="hub"))
    assert (found.reason, found.how) == ("not installed: transformers", "pip install transformers")
    assert weights.missing("b", BackboneSpec(model="tiny", pretrained="random")) is None


@pytest.mark.parametrize("content", [b"", b"[]", b'{"model_cfg": 3}', b"\xff"])
def test_a_broken_description_is_left_to_the_loading(content, hub):
    for name in ("open_clip_model.safetensors", "open_clip_config.json"):
        hub.put("org/other", name, content)
    assert lacking(BackboneSpec(model="hf-hub:org/other")) == ""


def test_random_weights_files_and_folders_are_not_looked_for(hub, tmp_path, backbone_folders):
    file = tmp_path / "mine.pt"
    file.write_bytes(b"")
    for keys in (
        {"model": "tiny", "pretrained": "random"},
        {"model": "tiny", "pretrained": str(file)},
        {"model": f"local-dir:{backbone_folders['native']}"},
    ):
        assert lacking(BackboneSpec(**keys)) == ""


@pytest.mark.parametrize(
    ("model", "tag", "size"),
    [("ViT-B-16-quickgelu", "openai", "0.6 GB"), ("ViT-L-14", "laion2b_s32b_b82k", "1.7 GB"), ("tiny", "hub", "0.0 GB")],
)
def test_the_size_is_told_and_nothing_else(model, tag, size, hub, caplog):
    found = weights.missing("b", BackboneSpec(model=model, pretrained=tag))
    assert found.size == size
    assert not caplog.records  # open_clip warns of what it builds without weights
    logging.warning("x")
    assert caplog.records, "others may still warn"


def test_no_size_is_better_than_a_guess(hub):
    assert weights.missing("b", BackboneSpec(model="hf-hub:org/other")).size == ""


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"model": "tini", "pretrained": "hub"}, "did you mean 'tiny'"),
        ({"model": "tiny", "pretrained": "hubb"}, "did you mean 'hub'"),
        ({"model": "local-dir:/nowhere"}, "no open_clip_config.json"),
        ({"model": "hf-hub:a b"}, "hf-hub:ORGANISATION/REPOSITORY"),
        ({"model": "hf-hub:a/b/c"}, "hf-hub:ORGANISATION/REPOSITORY"),
        ({"model": "hf-hub:"}, "hf-hub:ORGANISATION/REPOSITORY"),
    ],
)
def test_what_does_not_exist_is_not_missing_but_wrong(keys, words, hub):
    with pytest.raises(UserError) as caught:
        weights.missing("b", BackboneSpec(**keys))
    assert words in str(caught.value)
    assert "backbone 'b'" in str(caught.value)
