"""Where pretrained weights lie on this machine, and how to fetch those that do not.

A run never downloads: it looks here first, and the hub's libraries are told to stay offline (see ``cli``). Only
``--prepare`` goes to the network.
"""

from __future__ import annotations

from pathlib import Path

import huggingface_hub
import open_clip
import torch
from open_clip.pretrained import download_pretrained, download_pretrained_from_hf, get_pretrained_cfg

from benchmark.config import BackboneSpec
from benchmark.dataset import Missing
from benchmark.errors import UserError

CONFIG = "open_clip_config.json"
WEIGHTS = "open_clip_pytorch_model.bin"
SAFE = {WEIGHTS: "open_clip_model.safetensors"}


def missing(name: str, spec: BackboneSpec) -> Missing | None:
    """What a backbone lacks on this machine; None if it can be loaded, or if loading it will say what is wrong."""
    source = _source(spec)
    if source is None or _held(source):
        return None
    where = source.removeprefix("hub:")
    size = _size(spec)
    how = "run with --prepare where there is a network, or put the file into the cache"
    return Missing(f"weights of backbone {name!r}", f"not on this machine: {where}", how, size, fetchable=True)


def fetch(name: str, spec: BackboneSpec) -> None:
    """Download a backbone's weights into the usual cache.

    Raises:
        UserError: the network or the hub refuses.
    """
    try:
        if spec.model.startswith("hf-hub:"):
            repo = spec.model.removeprefix("hf-hub:")
            download_pretrained_from_hf(repo, filename=CONFIG)
            download_pretrained_from_hf(repo)
        else:
            download_pretrained(get_pretrained_cfg(spec.model, str(spec.pretrained)))
    except Exception as error:  # the hub's and urllib's errors are of many kinds
        text = " ".join(str(error).split())[:300]
        raise UserError(f"weights of backbone {name!r} could not be fetched: {text}", fix="try again later") from error


def _source(spec: BackboneSpec) -> str | None:
    """Where open_clip takes the weights from: "hub:org/repo[/file]" or a URL; None for files, folders and random weights."""
    if spec.model.startswith("hf-hub:"):
        return f"hub:{spec.model.removeprefix('hf-hub:')}/"
    tag = spec.pretrained
    if tag is None or tag == "random" or spec.model.startswith("local-dir:") or Path(tag).is_file():
        return None
    config = get_pretrained_cfg(spec.model, tag)
    if config.get("hf_hub"):
        return f"hub:{config['hf_hub']}"
    return str(config["url"]) if config.get("url") else None


def _held(source: str) -> bool:
    if not source.startswith("hub:"):
        return (Path("~/.cache/clip").expanduser() / source.rpartition("/")[2]).is_file()
    repo, _, file = source.removeprefix("hub:").rpartition("/")
    file = file or WEIGHTS
    safe = SAFE.get(file, str(Path(file).with_suffix(".safetensors")))
    return any(isinstance(huggingface_hub.try_to_load_from_cache(repo, each), str) for each in (safe, file))


def _size(spec: BackboneSpec) -> str:
    """About how large the weights are, from the architecture; empty if open_clip does not know it."""
    if open_clip.get_model_config(spec.model) is None:
        return ""
    try:
        with torch.device("meta"):
            model = open_clip.create_model(spec.model, load_weights=False)
    except Exception:  # only an estimate: some architectures cannot be laid out without memory
        return ""
    return f"{sum(value.numel() for value in model.parameters()) * 4 / 1e9:.1f} GB"
