"""Adapters of Hugging Face's PEFT on ``CLIPModel`` and ``SiglipModel``: between their names and this suite's.

An adapter is a folder with ``adapter_config.json`` and ``adapter_model.safetensors``. Its tensors are named after the
modules of transformers; a map in an open_clip tower has the same weights under another name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from benchmark.method.terms import Incompatible

CONFIG, WEIGHTS, OLD_WEIGHTS = "adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"
ROLES = {
    "self_attn.q_proj": "q",
    "self_attn.k_proj": "k",
    "self_attn.v_proj": "v",
    "self_attn.out_proj": "out",
    "mlp.fc1": "fc1",
    "mlp.fc2": "fc2",
}
"""Maps of a block by their names in transformers."""
PROJECTIONS = {"text_projection": "text_projection", "visual_projection": "vision_projection"}
SIGLIP_PROJECTION = {"text_model.head": "text_projection"}
_BLOCK = re.compile(r"(text|vision)_model\.(?:vision_model\.|text_model\.)?encoder\.layers\.(\d+)\.(.+)")
_PART = re.compile(r"(?:base_model\.model\.)?(.+?)\.(lora_A|lora_B|lora_magnitude_vector)(?:\.weight|\.default\.weight)?")
UNREADABLE = {
    "bias": ("none", "trains biases"),
    "fan_in_fan_out": (False, "stores transposed weights"),
    "lora_bias": (False, "has biases of its own"),
    "layer_replication": (None, "repeats layers"),
    "trainable_token_indices": (None, "trains token embeddings"),
    "target_parameters": (None, "changes parameters that are no linear maps"),
}
"""Settings that are read only at this value, and what others mean."""


@dataclass(frozen=True, eq=False)
class Change:
    """One map: A (r, d_in), B (d_out, r), alpha, and for DoRA the lengths (d_out,) of the rows."""

    down: torch.Tensor
    up: torch.Tensor
    alpha: float
    magnitude: torch.Tensor | None = None


@dataclass(frozen=True, eq=False)
class Adapter:
    """Changes by TOWER_LAYER_MAP, and the rank and alpha of those that do not have their own."""

    changes: dict[str, Change]
    rank: int
    alpha: float
    rslora: bool
    targets: tuple[str, ...] = ()
    """The names of all changes; a pattern where all layers of a tower are changed."""
    note: str = ""


def adapter_of(content: Mapping[str, Any]) -> Adapter | None:
    """The adapter in what ``checkpoints`` has read of a folder; None if it is none of PEFT.

    Raises:
        Incompatible: it is one of another kind, or changes what these towers do not have.
    """
    config = content.get("adapter_config")
    if not isinstance(config, Mapping):
        return None
    _check(config)
    parts = _parts(content["state_dict"], config)
    rank, alpha, changes = int(config["r"]), float(config.get("lora_alpha", 8)), {}
    for module, tensors in parts.items():
        if not {"lora_A", "lora_B"} <= tensors.keys():
            raise Incompatible(f"{module} has no lora_A or no lora_B")
        own = float(_of_pattern(config.get("alpha_pattern") or {}, module, alpha))
        changes[_key(module)] = Change(tensors["lora_A"], tensors["lora_B"], own, tensors.get("lora_magnitude_vector"))
    if not changes:
        raise Incompatible("it changes nothing")
    whole = config.get("layers_to_transform") is None and not isinstance(config.get("target_modules"), str)
    targets = dict.fromkeys(re.sub(r"_\d+_", "_*_", key) if whole else key for key in changes)
    base = config.get("base_model_name_or_path")
    note = f"an adapter of PEFT on {base}" if base else "an adapter of PEFT"
    return Adapter(changes, rank, alpha, bool(config.get("use_rslora")), tuple(targets), note)


def write_adapter(adapter: Adapter, *, siglip: bool = False) -> dict[str, Any]:
    """What goes into ``adapter_config.json``, as ``adapter_config``, and the tensors of ``adapter_model.safetensors``, as
    ``state_dict``, for ``CLIPModel`` or for ``SiglipModel``."""
    names = {key: _module(key, PROJECTIONS | SIGLIP_PROJECTION if siglip else PROJECTIONS) for key in adapter.changes}
    tensors = {}
    for key, change in adapter.changes.items():
        stem = f"base_model.model.{names[key]}"
        tensors[f"{stem}.lora_A.weight"], tensors[f"{stem}.lora_B.weight"] = change.down, change.up
        if change.magnitude is not None:
            tensors[f"{stem}.lora_magnitude_vector"] = change.magnitude
    escaped = {key: re.escape(name) for key, name in names.items()}
    config = {
        "peft_type": "LORA",
        "task_type": None,
        "base_model_name_or_path": None,
        "auto_mapping": None,
        "inference_mode": True,
        "r": adapter.rank,
        "lora_alpha": adapter.alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "use_rslora": adapter.rslora,
        "use_dora": any(change.magnitude is not None for change in adapter.changes.values()),
        "target_modules": sorted(names.values()),
        "rank_pattern": {escaped[k]: len(c.down) for k, c in adapter.changes.items() if len(c.down) != adapter.rank},
        "alpha_pattern": {escaped[k]: c.alpha for k, c in adapter.changes.items() if c.alpha != adapter.alpha},
    }
    return {"adapter_config": config, "state_dict": tensors}


def _check(config: Mapping[str, Any]) -> None:
    """Refuse what cannot be read.

    Raises:
        Incompatible: with the reason.
    """
    kind = config.get("peft_type")
    if kind != "LORA":
        raise Incompatible(f"it is an adapter of the kind {kind}; only LORA is read")
    saved = config.get("modules_to_save")
    if saved:
        raise Incompatible(f"it replaces whole modules of the backbone ({', '.join(map(str, saved))})")
    if not isinstance(config.get("r"), int):
        raise Incompatible("adapter_config.json has no rank r")
    for name, (value, meaning) in UNREADABLE.items():
        if config.get(name) not in (None, value, [], {}, False):
            raise Incompatible(f"it {meaning} ({name} is {config[name]!r})")


def _parts(state: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, dict[str, torch.Tensor]]:
    """The tensors of each changed module, by its name in transformers."""
    parts: dict[str, dict[str, torch.Tensor]] = {}
    for name, value in state.items():
        match = _PART.fullmatch(name)
        if match is None:
            raise Incompatible(f"its tensor {name} belongs to no map")
        parts.setdefault(match[1], {})[match[2]] = value
    base = (config.get("auto_mapping") or {}).get("base_model_class", "")
    prefix = {"CLIPVisionModel": "vision_model.", "CLIPTextModel": "text_model."}.get(base.replace("WithProjection", ""), "")
    return {module if re.match(r"(text|vision)_model\.", module) else prefix + module: t for module, t in parts.items()}


def _key(module: str) -> str:
    """This suite's name of a module of transformers.

    Raises:
        Incompatible: it is none of those that open_clip's towers have.
    """
    projection = (PROJECTIONS | SIGLIP_PROJECTION).get(module)
    if projection:
        return projection
    match = _BLOCK.fullmatch(module)
    role = ROLES.get(match[3]) if match else None
    if match is None or role is None:
        known = ", ".join([*ROLES, *PROJECTIONS])
        raise Incompatible(f"it changes {module}; what is known in the towers is {known}")
    return f"{match[1]}_{int(match[2])}_{role}"


def _module(key: str, projections: Mapping[str, str]) -> str:
    """The name in transformers of what this suite calls ``key``."""
    named = {ours: name for name, ours in projections.items()}
    if key in named:
        return named[key]
    tower, layer, role = key.split("_")
    (name,) = (name for name, ours in ROLES.items() if ours == role)
    return f"{tower}_model.encoder.layers.{layer}.{name}"


def _of_pattern(patterns: Mapping[str, Any], module: str, default: float) -> float:
    """The value for a module, where PEFT's patterns are regular expressions of the end of its name."""
    for pattern, value in patterns.items():
        try:
            if re.fullmatch(rf"(.*\.)?({pattern})", module):
                return float(value)
        except (re.error, TypeError, ValueError):
            raise Incompatible(f"its pattern {pattern!r} cannot be read") from None
    return default
