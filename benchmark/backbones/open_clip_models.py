"""Loads models, their transforms and tokenizers with open_clip, and checks that there is what a backbone names."""

from __future__ import annotations

import json
import warnings
import zipfile
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from torch import nn

import benchmark.backbones.icon_towers  # noqa: F401 - lets local-dir folders name the small timm towers
from benchmark.config.errors import UserError, did_you_mean
from benchmark.config.schema import BackboneSpec


def create_model(name: str, spec: BackboneSpec) -> tuple[nn.Module, Any, Any]:
    where = f"backbone {name!r}"
    check_names(name, spec)
    random = spec.pretrained == "random"
    weights = None if random else spec.pretrained
    with warnings.catch_warnings():
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
            text = " ".join(str(error).split())[:300]
            raise UserError(f"{where}: cannot be loaded: {text}", fix="check 'model' and 'pretrained'") from error
    return model, transform, tokenizer


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


def _check_folder(folder: Path, where: str, model: str) -> None:
    if not (folder / "open_clip_config.json").is_file():
        kind = model.partition(":")[0]
        raise UserError(f"{where}: no open_clip_config.json in {folder}", fix=f"check the path after '{kind}:'")
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
