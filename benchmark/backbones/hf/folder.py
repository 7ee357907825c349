"""What the folders of all architectures have in common: settings, weights, the evaluation transform."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2

from benchmark.backbones.checkpoint_file import Refused, named_tensors, read_file
from benchmark.config.errors import UserError

CONFIG, OPEN_CLIP_CONFIG = "config.json", "open_clip_config.json"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
VOCABULARY = 49408
"""Of CLIP's own tokenizer, which comes with open_clip."""
INTERPOLATION = {2: "bilinear", 3: "bicubic"}
"""By Pillow's numbers."""
BLOCK = re.compile(r"(text|vision)_model\.encoder\.layers\.(\d+)\.(.+)\.(weight|bias)")


def is_transformers(folder: Path) -> bool:
    """Whether a folder holds a model of transformers, and not one of open_clip too."""
    return (folder / CONFIG).is_file() and not (folder / OPEN_CLIP_CONFIG).is_file()


def needs_package(folder: Path) -> bool:
    """Whether its tokenizer needs transformers."""
    config = read_json(folder / CONFIG, str(folder))
    return (
        config.get("model_type") != "clip" or sizes(config, "text", {"vocab_size": VOCABULARY})["vocab_size"] != VOCABULARY
    )


def read_json(file: Path, where: str) -> dict[str, Any]:
    """A JSON file with settings.

    Raises:
        UserError: it is none.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return dict(content)
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{where}: {file} is not JSON with settings: {error}", fix="copy the folder again") from None


def sizes(config: Mapping[str, Any], tower: str, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a tower, with transformers' defaults for those that are left out."""
    given = config.get(f"{tower}_config") or config.get(f"{tower}_config_dict") or {}
    return {name: given.get(name, value) for name, value in defaults.items()}


def text_config(tower: Mapping[str, Any]) -> dict[str, Any]:
    """open_clip's settings of a text tower."""
    return {
        "context_length": tower["max_position_embeddings"],
        "vocab_size": tower["vocab_size"],
        "width": tower["hidden_size"],
        "heads": tower["num_attention_heads"],
        "layers": tower["num_hidden_layers"],
        "mlp_ratio": tower["intermediate_size"] / tower["hidden_size"],
        "norm_kwargs": {"eps": tower["layer_norm_eps"]},
    }


def weights(folder: Path, where: str) -> dict[str, torch.Tensor]:
    """The weights under transformers' names.

    Raises:
        UserError: there are none, or they cannot be read.
    """
    file = next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)
    if file is None:
        sharded = any(folder.glob("*.index.json"))
        fix = "save the model again in one file (max_shard_size)" if sharded else "copy the folder again"
        raise UserError(f"{where}: no {' or '.join(WEIGHTS)} in {folder}", fix=fix)
    try:
        state = named_tensors(read_file(file)) or {}
    except Refused as error:
        fix = "if you trust its author, save its state_dict alone"
        raise UserError(f"{where}: {file} is refused, because it would call {error}", fix=fix) from None
    return {name: value for name, value in state.items() if not name.endswith("position_ids")}


def load(model: torch.nn.Module, state: Mapping[str, torch.Tensor], where: str, folder: Path) -> None:
    """Put weights into a model.

    Raises:
        UserError: they are not all of its weights, or others, or of other sizes.
    """
    try:
        missing, unknown = model.load_state_dict(dict(state), strict=False)
    except RuntimeError as error:  # torch's word for sizes that differ
        reason = str(error).splitlines()[-1].strip()
        raise UserError(f"{where}: {folder} does not fit its {CONFIG}: {reason}", fix="copy the folder again") from None
    if missing or unknown:
        what = f"lack {missing[0]}" if missing else f"have {unknown[0]}, which is not known"
        raise UserError(f"{where}: the weights in {folder} {what}", fix="copy the folder again")


def renamed(name: str, names: Mapping[str, str]) -> str:
    """A name by the first pattern of ``names`` that it has; itself if it has none."""
    for pattern, ours in names.items():
        match = re.fullmatch(pattern, name)
        if match:
            return match.expand(ours)
    return name


def joined(packed: Mapping[str, Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """q, k and v one below the other; what is incomplete keeps names that no model has."""
    roles = [f"self_attn.{role}_proj" for role in "qkv"]
    state: dict[str, torch.Tensor] = {}
    for ours, parts in packed.items():
        if parts.keys() == set(roles):
            state[ours] = torch.cat([parts[role] for role in roles])
        else:
            state |= {f"{ours} of {role}": value for role, value in parts.items()}
    return state


def transform(folder: Path, size: int, mean: tuple[float, ...], deviation: tuple[float, ...], mode: str) -> Any:
    """The evaluation transform that ``preprocessor_config.json`` describes; with the values given for what it leaves out."""
    file = folder / "preprocessor_config.json"
    told = read_json(file, str(folder)) if file.is_file() else {}
    wanted = told.get("size")
    if isinstance(wanted, dict):
        mode = "squash" if "height" in wanted and not told.get("do_center_crop") else "shortest"
    return image_transform_v2(
        PreprocessCfg(
            size=size,
            mean=tuple(told.get("image_mean", mean)),
            std=tuple(told.get("image_std", deviation)),
            interpolation=INTERPOLATION.get(told.get("resample", 3), "bicubic"),
            resize_mode=mode,
        ),
        is_train=False,
    )


MEAN, DEVIATION = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD
