"""Loads models, their transforms and tokenizers with open_clip, and checks that there is what a backbone names."""

from __future__ import annotations

import json
import tempfile
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import huggingface_hub
import open_clip
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from safetensors.torch import save_file
from torch import nn

import benchmark.backbones.icon_towers  # noqa: F401 - lets local-dir folders name the small timm towers
from benchmark.backbones import hf
from benchmark.backbones.checkpoint_file import LFS, Refused, described, named_tensors, read_file
from benchmark.config.errors import UserError, clean, did_you_mean
from benchmark.config.schema import BackboneSpec


def create_model(name: str, spec: BackboneSpec) -> tuple[nn.Module, Any, Any]:
    where = f"backbone {name!r}"
    check_names(name, spec)
    folder = transformers_folder(spec)
    if folder is not None:
        return hf.create(folder, where)
    random = spec.pretrained == "random"
    with _readable_weights(spec, where) as weights, warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*QuickGELU.*")
        warnings.filterwarnings("ignore", message=".*(TorchScript|torch.jit).*")
        if random:
            torch.manual_seed(spec.seed)
        try:
            archive = _is_archive(weights)
            if archive and not (open_clip.get_model_config(spec.model) or {}).get("quick_gelu"):
                raise UserWarning(f"{weights} is a file of OpenAI's, whose models have QuickGELU")
            model = open_clip.create_model(
                spec.open_clip_name, pretrained=weights, require_pretrained=not random, weights_only=not archive
            )
            transform = image_transform_v2(PreprocessCfg(**model.visual.preprocess_cfg), is_train=False)
            tokenizer = _tokenizer(spec.open_clip_name)
        except UserWarning as error:
            raise UserError(f"{where}: {error}", fix="name the '-quickgelu' variant of the model") from None
        except UserError:
            raise
        except Exception as error:  # open_clip raises many kinds for weights it cannot read
            reason, fix = _diagnosis(spec) or (f"cannot be loaded: {clean(error, 300)}", "check 'model' and 'pretrained'")
            raise UserError(f"{where}: {reason}", fix=fix) from error
    return model, transform, tokenizer


@contextmanager
def _readable_weights(spec: BackboneSpec, where: str) -> Iterator[str | None]:
    """What open_clip takes for ``pretrained``. A file in which the weights are wrapped, or lie beside other objects, is read
    safely and unwrapped into a temporary one.

    Raises:
        UserError: a file has no weights of open_clip's.
    """
    file = None if spec.pretrained is None else Path(spec.pretrained)
    if spec.pretrained == "random":
        yield None
    elif file is None or not file.is_file() or _is_archive(spec.pretrained):
        yield spec.pretrained
    else:
        try:
            content = read_file(file)
        except Refused as error:
            fix = "if you trust its author, save its state_dict alone"
            raise UserError(f"{where}: {file} is refused, because it would call {error}", fix=fix) from None
        except UserError as error:
            raise UserError(f"{where}: {error.where}: {error.message}", fix=error.fix) from None
        state = named_tensors(content)
        if state is None:
            raise UserError(f"{where}: {file} holds no weights, but {described(content)}", fix="give another file")
        if any(name.startswith(("text_model.", "vision_model.")) for name in state):
            fix = "give the file of open_clip, such as hf-hub:ORGANISATION/REPOSITORY"
            raise UserError(f"{where}: {file} has the names of transformers, not of open_clip", fix=fix)
        if isinstance(content, Mapping) and content.keys() == state.keys() and file.suffix == ".safetensors":
            yield spec.pretrained
            return
        with tempfile.TemporaryDirectory() as folder:
            plain = Path(folder) / "weights.safetensors"
            save_file({name: value.contiguous().clone() for name, value in state.items()}, plain)
            yield str(plain)


def _diagnosis(spec: BackboneSpec) -> tuple[str, str] | None:
    """(reason, fix) of the usual mistakes in a model folder."""
    folder = spec.folder
    if folder is None:
        return None
    for file in sorted(folder.iterdir()):
        start = file.open("rb").read(64) if file.is_file() else b""
        if start.startswith(LFS):
            return f"{file} is a Git LFS pointer, not the file", "run 'git lfs pull' in its repository"
        if file.suffix in (".bin", ".pt", ".pth") and start[8:9] == b"{":
            return f"{file} is a safetensors file", "rename it to open_clip_model.safetensors"
    try:
        config = json.loads((folder / "open_clip_config.json").read_text(encoding="utf-8"))
        merges = config["model_cfg"]["text_cfg"].get("tokenizer_kwargs", {}).get("bpe_path")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"open_clip_config.json in {folder} has no model: {clean(error, 100)}", "copy the folder again"
    if merges and not (folder / merges).is_file():
        return f"its tokenizer's {merges} is not in {folder}", "copy the folder again"
    return None


def _is_archive(file: str | None) -> bool:
    """True for a TorchScript archive: OpenAI published its models as such. torch reads no pickled objects from one."""
    if file is None or not zipfile.is_zipfile(file):
        return False
    with zipfile.ZipFile(file) as content:
        names = content.namelist()
    return f"{names[0].partition('/')[0]}/constants.pkl" in names if names else False


def check_names(name: str, spec: BackboneSpec) -> None:
    """Check that there is what a backbone's keys name.

    Raises:
        UserError: there is no such model, tag or folder.
    """
    where = f"backbone {name!r}"
    if spec.folder is not None:
        _check_folder(spec.folder, where, spec.model)
    elif not spec.model.startswith("hf-hub:"):
        _check_tag(spec, where)


def transformers_folder(spec: BackboneSpec) -> Path | None:
    """The folder of a model of transformers, which may be in the cache of the hub; None for a model of open_clip."""
    if spec.model.startswith("hf-hub:"):
        config = huggingface_hub.try_to_load_from_cache(spec.model.removeprefix("hf-hub:"), hf.CONFIG)
        folder = Path(config).parent if isinstance(config, str) else None
    else:
        folder = spec.folder
    return folder if folder is not None and hf.is_transformers(folder) else None


def _check_folder(folder: Path, where: str, model: str) -> None:
    if hf.is_transformers(folder):
        return
    if not (folder / "open_clip_config.json").is_file():
        kind = model.partition(":")[0]
        raise UserError(
            f"{where}: no open_clip_config.json in {folder}, nor a config.json", fix=f"check the path after '{kind}:'"
        )
    if not any(folder.glob("*.safetensors")) and not any(folder.glob("*.bin")) and not any(folder.glob("*.pt*")):
        raise UserError(f"{where}: no weights in {folder}", fix="put open_clip_model.safetensors there")


def _check_tag(spec: BackboneSpec, where: str) -> None:
    if spec.model not in open_clip.list_models():
        raise UserError(f"{where}: unknown model {spec.model!r}", fix=did_you_mean(spec.model, open_clip.list_models()))
    tag = spec.pretrained
    if tag is None or tag == "random" or Path(tag).is_file():
        return
    tags = open_clip.list_pretrained_tags_by_model(spec.model)
    if tag not in tags:
        raise UserError(f"{where}: {tag!r} is neither a tag of {spec.model} nor a file", fix=did_you_mean(tag, tags))


def _tokenizer(model: str) -> Any:
    """open_clip's tokenizer; a merges file named in a local-dir config is looked for in that folder."""
    if not model.startswith("local-dir:"):
        return open_clip.get_tokenizer(model)
    folder = Path(model.removeprefix("local-dir:"))
    config = json.loads((folder / "open_clip_config.json").read_text(encoding="utf-8"))
    merges = config["model_cfg"]["text_cfg"].get("tokenizer_kwargs", {}).get("bpe_path")
    return open_clip.get_tokenizer(model, **({"bpe_path": str(folder / merges)} if merges else {}))
