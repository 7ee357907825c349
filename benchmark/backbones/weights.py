"""Where pretrained weights are on this machine, and how to fetch those that are missing.

A run never downloads: it looks here first, and the hub's libraries are told to stay offline (see ``cli``). Only
``--prepare`` goes to the network.
"""

from __future__ import annotations

import importlib.util
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import huggingface_hub
import open_clip
import torch
from huggingface_hub.errors import EntryNotFoundError, HFValidationError
from open_clip.pretrained import download_pretrained, download_pretrained_from_hf, get_pretrained_cfg

from benchmark.backbones import hf
from benchmark.backbones.open_clip_models import check_names, transformers_folder
from benchmark.config.errors import UserError
from benchmark.config.missing import Missing
from benchmark.config.schema import BackboneSpec

CONFIG = "open_clip_config.json"
WEIGHTS = "open_clip_pytorch_model.bin"
SAFE = {WEIGHTS: "open_clip_model.safetensors"}
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "sentencepiece.bpe.model", "spiece.model")
"""One of these is there where a tokenizer is."""


def missing(name: str, spec: BackboneSpec) -> Missing | None:
    """What a backbone lacks on this machine; None if it can be loaded.

    Raises:
        UserError: there is no such model, tag, folder or repository.
    """
    check_names(name, spec)
    try:
        absent = [source for source, is_here in _needs(spec) if not is_here]
    except HFValidationError as error:
        fix = "write hf-hub:ORGANISATION/REPOSITORY"
        raise UserError(f"{spec.model!r}: {error}", where=f"backbone {name!r}", fix=fix) from None
    packages = _packages(spec)
    if packages:
        how = f"pip install {' '.join(packages)}"
        return Missing(f"tokenizer of backbone {name!r}", f"not installed: {', '.join(packages)}", how)
    if not absent:
        return None
    how = "run with --prepare where there is a network, or put the file into the cache"
    reason = f"not on this machine: {', '.join(absent)}"
    return Missing(f"weights of backbone {name!r}", reason, how, _size(spec), fetchable=True)


def fetch(name: str, spec: BackboneSpec) -> None:
    """Download a backbone's weights, and its tokenizer where that is a file, into the usual cache.

    Raises:
        UserError: the network or the hub refuses.
    """
    try:
        if spec.model.startswith("hf-hub:"):
            repo = spec.model.removeprefix("hf-hub:")
            try:
                download_pretrained_from_hf(repo, filename=CONFIG)
            except EntryNotFoundError:  # a model of transformers
                huggingface_hub.snapshot_download(repo, allow_patterns=["*.json", "*.txt", "*.model", _weights_of(repo)])
                return
            download_pretrained_from_hf(repo)
        else:
            download_pretrained(get_pretrained_cfg(spec.model, str(spec.pretrained)))
        open_clip.get_tokenizer(spec.model)
    except Exception as error:  # the hub's and urllib's errors are of many kinds
        text = " ".join(str(error).split())[:300]
        raise UserError(f"weights of backbone {name!r} could not be fetched: {text}", fix="try again later") from error


def _weights_of(repo: str) -> str:
    """The file with the weights of a model of transformers."""
    return next((name for name in hf.WEIGHTS if huggingface_hub.file_exists(repo, name)), hf.WEIGHTS[0])


def _needs(spec: BackboneSpec) -> list[tuple[str, bool]]:
    """The files that open_clip would fetch, as repositories or addresses, and whether each is here. None for weights in
    files and folders, and for random ones."""
    if spec.model.startswith("hf-hub:"):
        repo = spec.model.removeprefix("hf-hub:")
        config = _cached(repo, CONFIG)
        if config is None and _cached(repo, hf.CONFIG):
            return [(repo, any(_cached(repo, name) for name in hf.WEIGHTS))]
        needs = [(f"{repo}/{CONFIG}", config is not None), (repo, _holds_weights(repo, WEIGHTS))]
        return needs + _tokenizer(_model_config(config))
    tag = spec.pretrained
    if tag is None or tag == "random" or spec.folder is not None:
        return []
    about = get_pretrained_cfg(spec.model, tag)
    if not about:  # a file: open_clip takes a tag first
        weights = []
    elif about.get("hf_hub"):
        repo, _, file = str(about["hf_hub"]).rpartition("/")
        weights = [(f"{repo}/{file}".rstrip("/"), _holds_weights(repo, file or WEIGHTS))]
    else:
        url = str(about["url"])
        weights = [(url, (Path("~/.cache/clip").expanduser() / url.rpartition("/")[2]).is_file())]
    return weights + _tokenizer(open_clip.get_model_config(spec.model) or {})


def _packages(spec: BackboneSpec) -> list[str]:
    """Packages that a tokenizer from the hub needs and that are not installed."""
    folder = transformers_folder(spec)
    if folder is not None:
        return ["transformers"] if hf.needs_package(folder) and importlib.util.find_spec("transformers") is None else []
    if spec.model.startswith("hf-hub:"):
        config = _model_config(_cached(spec.model.removeprefix("hf-hub:"), CONFIG))
    elif spec.folder is not None:
        config = _model_config(str(spec.folder / CONFIG))
    else:
        config = open_clip.get_model_config(spec.model) or {}
    text = config.get("text_cfg", {})
    needs = ["transformers"] if text.get("hf_tokenizer_name") or text.get("hf_model_name") else []
    return [name for name in needs if importlib.util.find_spec(name) is None]


def _tokenizer(config: Mapping[str, Any]) -> list[tuple[str, bool]]:
    """The repository of a tokenizer that does not come with open_clip."""
    repo = config.get("text_cfg", {}).get("hf_tokenizer_name")
    return [(f"tokenizer of {repo}", any(_cached(repo, file) for file in TOKENIZER))] if repo else []


def _model_config(file: str | None) -> dict[str, Any]:
    try:
        content = json.loads(Path(file).read_text(encoding="utf-8"))["model_cfg"] if file else {}
    except (OSError, ValueError, KeyError, TypeError):  # loading the backbone will say what is wrong with it
        return {}
    return content if isinstance(content, dict) else {}


def _holds_weights(repo: str, file: str) -> bool:
    safe = SAFE.get(file, str(Path(file).with_suffix(".safetensors")))
    return any(_cached(repo, name) for name in (safe, file))


def _cached(repo: str, file: str) -> str | None:
    path = huggingface_hub.try_to_load_from_cache(repo, file)
    return path if isinstance(path, str) else None


def _size(spec: BackboneSpec) -> str:
    """About how large the weights are, from the architecture; empty if open_clip does not know it."""
    if spec.model not in open_clip.list_models():
        return ""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # it would warn that there are no weights
    try:
        with torch.device("meta"):
            model = open_clip.create_model(spec.model, load_weights=False, pretrained_text=False, device="meta")
    except Exception:  # only an estimate: some architectures cannot be laid out without memory
        return ""
    finally:
        logging.disable(before)
    return f"{sum(value.numel() for value in model.parameters()) * 4 / 1e9:.1f} GB"
