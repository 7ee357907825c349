"""``CLIPModel`` of transformers as open_clip's ``CLIP``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from open_clip.model import CLIP
from open_clip.tokenizer import HFTokenizer, SimpleTokenizer

from benchmark.backbones.hf.folder import (
    BLOCK,
    DEVIATION,
    MEAN,
    VOCABULARY,
    joined,
    load,
    renamed,
    sizes,
    text_config,
    transform,
    weights,
)
from benchmark.config.errors import UserError

TEXT = {
    "hidden_size": 512,
    "intermediate_size": 2048,
    "num_hidden_layers": 12,
    "num_attention_heads": 8,
    "max_position_embeddings": 77,
    "vocab_size": VOCABULARY,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
    "eos_token_id": 49407,
}
"""transformers' defaults."""
VISION = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "image_size": 224,
    "patch_size": 32,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
}
NAMES = {
    r"text_model\.embeddings\.token_embedding\.weight": "token_embedding.weight",
    r"text_model\.embeddings\.position_embedding\.weight": "positional_embedding",
    r"text_model\.final_layer_norm\.(\w+)": r"ln_final.\1",
    r"text_projection\.weight": "text_projection",
    r"visual_projection\.weight": "visual.proj",
    r"vision_model\.embeddings\.class_embedding": "visual.class_embedding",
    r"vision_model\.embeddings\.patch_embedding\.weight": "visual.conv1.weight",
    r"vision_model\.embeddings\.position_embedding\.weight": "visual.positional_embedding",
    r"vision_model\.pre_layrnorm\.(\w+)": r"visual.ln_pre.\1",  # transformers' own spelling
    r"vision_model\.post_layernorm\.(\w+)": r"visual.ln_post.\1",
}
TRANSPOSED = ("text_projection", "visual.proj")
PARTS = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}
TOWERS = {"text": "transformer.resblocks", "vision": "visual.transformer.resblocks"}


def create(folder: Path, config: Mapping[str, Any], where: str) -> tuple[CLIP, Any, Any]:
    """Model, evaluation transform and tokenizer.

    Raises:
        UserError: weights are missing or do not fit, or open_clip does not have its activation.
    """
    text, vision = sizes(config, "text", TEXT), sizes(config, "vision", VISION)
    if text["hidden_act"] != vision["hidden_act"] or text["hidden_act"] not in ("quick_gelu", "gelu"):
        acts = f"{text['hidden_act']!r} and {vision['hidden_act']!r}"
        raise UserError(f"{where}: the activations {acts} of {folder} are not CLIP's", fix="use another model")
    model = CLIP(
        embed_dim=config.get("projection_dim", 512),
        vision_cfg=_vision(vision),
        text_cfg=text_config(text) | _pool(text),
        quick_gelu=text["hidden_act"] == "quick_gelu",
    )
    load(model, _state(weights(folder, where)), where, folder)
    return model, transform(folder, vision["image_size"], MEAN, DEVIATION, "shortest"), _tokenizer(folder, text)


def _vision(sizes: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "image_size": sizes["image_size"],
        "patch_size": sizes["patch_size"],
        "width": sizes["hidden_size"],
        "layers": sizes["num_hidden_layers"],
        "head_width": sizes["hidden_size"] // sizes["num_attention_heads"],
        "mlp_ratio": sizes["intermediate_size"] / sizes["hidden_size"],
        "norm_kwargs": {"eps": sizes["layer_norm_eps"]},
    }


def _pool(sizes: Mapping[str, Any]) -> dict[str, Any]:
    """Where the text tower is read. transformers looks for the largest id where the end-of-text id is the 2 that early
    configurations had by mistake."""
    last = sizes["eos_token_id"]
    return {"pool_type": "argmax"} if last in (2, sizes["vocab_size"] - 1) else {"pool_type": "eos", "eos_id": last}


def _state(theirs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights under open_clip's names, with q, k and v in one."""
    state: dict[str, torch.Tensor] = {}
    packed: dict[str, dict[str, torch.Tensor]] = {}
    for name, value in theirs.items():
        block = BLOCK.fullmatch(name)
        if block is None:
            ours = renamed(name, NAMES)
            state[ours] = value.T.contiguous() if ours in TRANSPOSED else value
            continue
        place = f"{TOWERS[block[1]]}.{block[2]}"
        if block[3] in PARTS:
            state[f"{place}.{PARTS[block[3]]}.{block[4]}"] = value
        else:
            packed.setdefault(f"{place}.attn.in_proj_{block[4]}", {})[block[3]] = value
    return state | joined(packed)


def _tokenizer(folder: Path, text: Mapping[str, Any]) -> Any:
    if text["vocab_size"] == VOCABULARY:
        return SimpleTokenizer(context_length=text["max_position_embeddings"])
    return HFTokenizer(str(folder), context_length=text["max_position_embeddings"], clean="whitespace")
