"""A run never downloads: what is missing is told before the first cell, all of it, and only ``--prepare`` fetches."""

from __future__ import annotations

import io
import json
import logging
import os
import socket
import subprocess
import sys
from pathlib import Path

import huggingface_hub
import open_clip
import pytest
import torch
import yaml
from fixtures.checkout import ROOT
from open_clip.model import CLIP
from rich.console import Console
from safetensors.torch import save_file

from benchmark.backbones import weights
from benchmark.backbones.clip import Backbone
from benchmark.config.errors import UserError
from benchmark.config.missing import Missing
from benchmark.config.schema import BackboneSpec
from benchmark.data.dataset import Dataset
from benchmark.experiment import preflight
from benchmark.training.checks.tiny_clips import NATIVE as NATIVE_VISION
from benchmark.training.checks.tiny_clips import TEXT

ARCHITECTURE = {
    "embed_dim": 32,
    "quick_gelu": True,
    "vision_cfg": NATIVE_VISION,
    "text_cfg": TEXT | {"context_length": 77, "vocab_size": 49408},
}
WITH_TOKENIZER = {**ARCHITECTURE, "text_cfg": ARCHITECTURE["text_cfg"] | {"hf_tokenizer_name": "org/words"}}
URL = "https://example.org/weights/tiny-0123.pt"
TAGS = {
    "hub": {"hf_hub": "org/tiny/", "url": URL, "quick_gelu": True},
    "named": {"hf_hub": "org/tiny/tiny.bin", "quick_gelu": True},
    "address": {"url": URL, "quick_gelu": True},
}
HUB, NAMED, ADDRESS = (BackboneSpec(model="tiny", pretrained=tag) for tag in TAGS)


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Whoever tries to connect fails the test."""
    tried = []
    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, lambda self, address, *_: tried.append(address))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **_: tried.append(args))
    yield
    assert not tried


@pytest.fixture(autouse=True)
def tiny_models(monkeypatch):
    """open_clip knows a model "tiny" with three tags, and one that needs a tokenizer of the hub."""
    known = open_clip.factory._MODEL_CONFIGS
    for name, about in (("tiny", ARCHITECTURE), ("wordy", WITH_TOKENIZER)):
        monkeypatch.setitem(known, name, about)
        monkeypatch.setitem(open_clip.pretrained._PRETRAINED, name, TAGS)


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    """Weights of the tiny architecture."""
    torch.manual_seed(0)
    return {name: value.contiguous() for name, value in CLIP(**ARCHITECTURE).state_dict().items()}


class Hub:
    """The hub's cache, as its library lays it out."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def place(self, repo: str, name: str) -> Path:
        folder = self.root / f"models--{repo.replace('/', '--')}"
        (folder / "refs").mkdir(parents=True, exist_ok=True)
        (folder / "refs" / "main").write_text("c0ffee")
        file = folder / "snapshots" / "c0ffee" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        return file

    def put(self, repo: str, name: str, content: bytes = b"") -> None:
        self.place(repo, name).write_bytes(content)


@pytest.fixture
def hub(tmp_path, monkeypatch) -> Hub:
    """An empty cache."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return Hub(tmp_path / "hub")


def lacking(spec: BackboneSpec) -> str:
    """What is missing of a backbone; empty if nothing."""
    found = weights.missing("b", spec)
    assert found is None or (found.fetchable and found.what == "weights of backbone 'b'" and "--prepare" in found.how)
    return found.reason if found else ""


# --- weights -------------------------------------------------------------------------------------------------------


def test_weights_in_the_cache_are_found_and_can_be_loaded(hub, state):
    assert lacking(HUB) == "not on this machine: org/tiny"
    save_file(state, hub.place("org/tiny", "open_clip_model.safetensors"))
    assert lacking(HUB) == ""
    backbone = Backbone.load("b", HUB)
    assert torch.equal(backbone.model.state_dict()["text_projection"], state["text_projection"])


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


def test_a_repository_of_the_hub_needs_its_description_too(hub, state):
    spec = BackboneSpec(model="hf-hub:org/other")
    assert lacking(spec) == "not on this machine: org/other/open_clip_config.json, org/other"
    save_file(state, hub.place("org/other", "open_clip_model.safetensors"))
    assert lacking(spec) == "not on this machine: org/other/open_clip_config.json"
    hub.put("org/other", "open_clip_config.json", json.dumps({"model_cfg": ARCHITECTURE}).encode())
    assert lacking(spec) == ""
    assert Backbone.load("b", spec).embed_dim == 32


@pytest.mark.parametrize("form", ["tag", "repository"])
def test_a_tokenizer_that_open_clip_does_not_have(form, hub):
    spec = BackboneSpec(model="wordy", pretrained="hub")
    hub.put("org/tiny", "open_clip_model.safetensors")
    if form == "repository":
        spec = BackboneSpec(model="hf-hub:org/tiny")
        hub.put("org/tiny", "open_clip_config.json", json.dumps({"model_cfg": WITH_TOKENIZER}).encode())
    assert lacking(spec) == "not on this machine: tokenizer of org/words"
    hub.put("org/words", "tokenizer.json")
    assert lacking(spec) == ""


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


# --- the command line ------------------------------------------------------------------------------------------------


@pytest.fixture
def pairs(tmp_path, backbone_folders, hub):
    """Write a YAML of these backbones (the first is the old one) and folders, and return its options."""

    def write(backbones: dict[str, dict], folders: dict[str, dict] | None = None, **keys) -> list[str]:
        first, *others = backbones
        content = {"backbones": backbones, "upgrades": [{"old": first, "new": others or first}], "folders": folders or {}}
        content |= {"datasets": list(folders or ["toy"]), "shots": 2, "seeds": [1], **keys}
        (tmp_path / "pairs.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
        return [f"--upgrade-pairs={tmp_path}/pairs.yaml", f"--out={tmp_path}/o", "--device=cpu"]

    return write


THREE = {
    "here": {"model": "tiny", "pretrained": "random"},
    "one": {"model": "tiny", "pretrained": "hub"},
    "two": {"model": "hf-hub:org/other"},
}
GONE = {"pets": {"path": "gone"}, "cars": {"path": "away/cars.csv"}}


@pytest.mark.parametrize("option", ["--dry-run", "--offline", "--workers=0"])
def test_everything_that_is_missing_is_listed_at_once(option, pairs, cli, tmp_path):
    done = cli(option, *pairs(THREE, GONE))
    assert done.status == 2
    assert "Traceback" not in done.err
    for words in (
        "backbone 'one'",
        "backbone 'two'",
        "'pets'",
        "'cars'",
        "org/tiny",
        "org/other",
        "away/cars.csv",
        "0.0 GB",
    ):
        assert words in done.err, words
    assert "'here'" not in done.err
    last = done.err.strip().splitlines()[-1]
    assert last.startswith("error: 4 things are missing (fix: ")
    assert "--prepare" in last
    assert not (tmp_path / "o").exists()


def test_one_thing_that_is_missing_is_named_in_the_line(pairs, cli):
    done = cli("--dry-run", *pairs({"here": THREE["here"]}, {"pets": GONE["pets"]}))
    last = done.err.strip().splitlines()[-1]
    assert done.status == 2
    assert last.startswith("error: dataset 'pets': not found: ")
    assert "--prepare" not in last, "nothing that it could fetch"


def test_what_no_pair_uses_is_not_asked_for(pairs, cli):
    backbones = {"here": THREE["here"], "one": THREE["one"]}
    options = pairs(backbones, upgrades=[{"old": "here", "new": "here"}])
    assert cli("--dry-run", *options).status == 0


def test_a_run_from_the_cache(pairs, cli, hub, state):
    """Weights that lie in the hub's cache, to the plan, and with no connection."""
    save_file(state, hub.place("org/tiny", "open_clip_model.safetensors"))
    done = cli("--dry-run", *pairs({name: THREE[name] for name in ("here", "one")}))
    assert done.status == 0, done.err
    assert "here -> one" in done.out


@pytest.mark.parametrize(("option", "offline"), [("--dry-run", True), ("--offline", True), ("--prepare", False)])
def test_the_hub_is_told_to_stay_offline_except_to_prepare(option, offline, pairs, cli, monkeypatch):
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.setenv(name, "unset")
    cli(option, *pairs({"here": THREE["here"]}, {"pets": GONE["pets"]}))
    assert {os.environ[name] for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")} == {"1" if offline else "unset"}


def test_the_hub_is_not_imported_before_it_is_told():
    """It reads its environment once, when it is imported."""
    code = "import sys, benchmark.cli.main; sys.exit(bool({'huggingface_hub', 'open_clip', 'torch'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_prepare_and_offline_exclude_each_other(cli):
    done = cli("--prepare", "--offline")
    assert done.status == 2
    assert "not allowed with" in done.err


# --- --prepare ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def downloads(hub, monkeypatch):
    """Downloads that put files into the cache, and a list of what was asked for."""
    asked = []

    def from_hub(repo: str, filename: str | None = None) -> None:
        asked.append(f"{repo}/{filename or ''}")
        content = json.dumps({"model_cfg": ARCHITECTURE}).encode() if filename else b""
        hub.put(repo, filename or "open_clip_model.safetensors", content)

    monkeypatch.setattr(weights, "download_pretrained_from_hf", from_hub)
    monkeypatch.setattr(weights, "download_pretrained", lambda about: from_hub(about["hf_hub"].rstrip("/")))
    monkeypatch.setattr(open_clip, "get_tokenizer", lambda model: asked.append(f"tokenizer of {model}"))
    return asked


def test_prepare_fetches_weights_and_tells_that_nothing_is_left(pairs, cli, downloads):
    options = pairs(THREE)
    done = cli("--prepare", *options)
    assert done.status == 0, done.err
    assert downloads == [
        "org/tiny/",
        "tokenizer of tiny",
        "org/other/open_clip_config.json",
        "org/other/",
        "tokenizer of hf-hub:org/other",
    ]
    assert "everything is in place" in done.err
    assert "'here'" not in done.err
    assert cli("--prepare", *options).status == 0
    assert len(downloads) == 5, "what is there is not fetched again"


def test_prepare_lists_what_it_cannot_fetch(pairs, cli, downloads):
    done = cli("--prepare", *pairs(THREE, GONE))
    assert done.status == 2
    assert "fetching weights of backbone 'one'" in done.err
    left = done.err[done.err.index("missing:") :]
    assert "'pets'" in left
    assert "'cars'" in left
    assert "'one'" not in left


def test_a_download_that_fails_does_not_keep_the_others(pairs, cli, downloads, monkeypatch):
    def refuse(about: object) -> None:
        raise OSError("no route to\n host [/bold]")

    monkeypatch.setattr(weights, "download_pretrained", refuse)
    done = cli("--prepare", *pairs(THREE))
    assert done.status == 2
    assert "Traceback" not in done.err
    assert "error: weights of backbone 'one' could not be fetched: no route to host [/bold] (fix: " in done.err
    assert "org/other/" in downloads
    left = done.err[done.err.index("missing:") :]
    assert "'one'" in left
    assert "'two'" not in left


def test_prepare_does_not_call_a_misspelt_name_complete(pairs, cli, downloads):
    done = cli("--prepare", *pairs({"b": {"model": "tiny", "pretrained": "hubb"}}))
    assert done.status == 2
    assert "did you mean 'hub'" in done.err
    assert not downloads


class Fetched(Dataset):
    """A data set that is missing until it is prepared; ``kind`` says how that ends."""

    def __init__(self, name: str, kind: str) -> None:
        super().__init__()
        self.name, self.kind, self.there = name, kind, False

    def missing(self) -> Missing | None:
        if self.there:
            return None
        return Missing(f"dataset {self.name!r}", "[/nowhere]", "ask [its] authors", "3 GB", fetchable=self.kind != "by hand")

    def prepare(self) -> None:
        if self.kind == "refused":
            raise UserError("the server said [/no]")
        assert self.kind != "by hand", "nobody can fetch that"
        self.there = True


def test_data_sets_are_prepared_too():
    console = Console(file=io.StringIO(), width=200)
    datasets = [Fetched("a", "fetched"), Fetched("b", "refused"), Fetched("c", "by hand")]
    with pytest.raises(UserError, match="3 things are missing"):
        preflight.require({}, iter(datasets), console)
    assert preflight.prepare({}, iter(datasets), console) == 2
    assert [each.there for each in datasets] == [True, False, False]
    assert [each.what for each in preflight.missing({}, datasets)] == ["dataset 'b'", "dataset 'c'"]
    text = console.file.getvalue()
    assert "the server said [/no]" in text
    for words in ("[/nowhere]", "ask [its] authors", "3 GB"):
        assert words in text
    assert preflight.prepare({}, datasets[:1], console) == 0
