"""A run never downloads: what is missing is told before the first cell, all of it, and only ``--prepare`` fetches."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys

import open_clip
import pytest
import yaml
from fixtures.checkout import ROOT
from fixtures.hub import ARCHITECTURE
from rich.console import Console
from safetensors.torch import save_file

from benchmark.backbones import weights
from benchmark.config.errors import UserError
from benchmark.config.missing import Missing
from benchmark.data.dataset import Dataset
from benchmark.experiment import preflight

pytestmark = pytest.mark.usefixtures("no_network", "tiny_models")

# --- the command line ------------------------------------------------------------------------------------------------


@pytest.fixture
def pairs(tmp_path, backbone_folders, hub):
    """Write a YAML of these backbones (the first is the old one) and folders, and return its options."""

    def write(backbones: dict[str, dict], folders: dict[str, dict] | None = None, **keys) -> list[str]:
        first, *others = backbones
        content = {"backbones": backbones, "upgrades": [{"old": first, "new": others or first}], "folders": folders or {}}
        content |= {"datasets": list(folders or ["toy"]), "methods": ["coop"], "shots": 2, "seeds": [1], **keys}
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


def test_a_run_from_the_cache(pairs, cli, hub, tiny_state):
    """Weights that lie in the hub's cache, to the plan, and with no connection."""
    save_file(tiny_state, hub.place("org/tiny", "open_clip_model.safetensors"))
    done = cli("--dry-run", *pairs({name: THREE[name] for name in ("here", "one")}))
    assert done.status == 0, done.err
    assert "here \N{RIGHTWARDS ARROW} one" in done.out


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


def test_a_backbone_and_a_data_set_of_one_name_are_both_missing(monkeypatch):
    monkeypatch.setattr(weights, "missing", lambda name, spec: Missing(f"weights of backbone {name!r}", "gone", "ask"))
    lacking = preflight.missing({"b": None}, [Fetched("b", "by hand")])
    assert [each.what for each in lacking] == ["weights of backbone 'b'", "dataset 'b'"]
