"""``SiglipModel`` of transformers as open_clip's ``CustomTextCLIP`` with an image tower of timm."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import timm
import torch
from open_clip.model import CustomTextCLIP
from open_clip.tokenizer import HFTokenizer
from timm.models import register_model
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from benchmark.backbones.hf.folder import BLOCK, joined, load, renamed, sizes, text_config, transform, weights
from benchmark.config.errors import UserError

TEXT = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "max_position_embeddings": 64,
    "vocab_size": 32000,
    "hidden_act": "gelu_pytorch_tanh",
    "layer_norm_eps": 1e-6,
    "projection_size": None,
}
"""transformers' defaults."""
VISION = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "image_size": 224,
    "patch_size": 16,
    "hidden_act": "gelu_pytorch_tanh",
    "layer_norm_eps": 1e-6,
}
TRUNK = "visual.trunk"
NAMES = {
    r"text_model\.embeddings\.token_embedding\.weight": "text.token_embedding.weight",
    r"text_model\.embeddings\.position_embedding\.weight": "text.positional_embedding",
    r"text_model\.final_layer_norm\.(\w+)": r"text.ln_final.\1",
    r"text_model\.head\.(\w+)": r"text.text_projection.\1",
    r"vision_model\.embeddings\.patch_embedding\.(\w+)": rf"{TRUNK}.patch_embed.proj.\1",
    r"vision_model\.embeddings\.position_embedding\.weight": f"{TRUNK}.pos_embed",
    r"vision_model\.post_layernorm\.(\w+)": rf"{TRUNK}.norm.\1",
    r"vision_model\.head\.probe": f"{TRUNK}.attn_pool.latent",
    r"vision_model\.head\.attention\.out_proj\.(\w+)": rf"{TRUNK}.attn_pool.proj.\1",
    r"vision_model\.head\.layer_?norm\.(\w+)": rf"{TRUNK}.attn_pool.norm.\1",
    r"vision_model\.head\.mlp\.(fc[12])\.(\w+)": rf"{TRUNK}.attn_pool.mlp.\1.\2",
}
TEXT_PARTS = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}
VISION_PARTS = {
    "layer_norm1": "norm1",
    "layer_norm2": "norm2",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
    "self_attn.out_proj": "attn.proj",
}
PLACES = {"text": ("text.transformer.resblocks", TEXT_PARTS), "vision": (f"{TRUNK}.blocks", VISION_PARTS)}
HALF = (0.5, 0.5, 0.5)


def create(folder: Path, config: Mapping[str, Any], where: str) -> tuple[CustomTextCLIP, Any, Any]:
    """Model, evaluation transform and tokenizer.

    Raises:
        UserError: weights are missing or do not fit, or the activation is another than SigLIP's.
    """
    text, vision = sizes(config, "text", TEXT), sizes(config, "vision", VISION)
    if {text["hidden_act"], vision["hidden_act"]} != {"gelu_pytorch_tanh"}:
        raise UserError(f"{where}: {folder} has another activation than SigLIP's", fix="use another model")
    model = CustomTextCLIP(
        embed_dim=text["projection_size"] or text["hidden_size"],
        init_logit_bias=-10,
        vision_cfg={
            "image_size": vision["image_size"],
            "timm_model_name": _tower(vision),
            "timm_model_pretrained": False,
            "timm_pool": "map",
            "timm_proj": "none",
        },
        text_cfg=text_config(text)
        | {
            "no_causal_mask": True,
            "proj_bias": True,
            "pool_type": "last",
            "act_kwargs": {"approximate": "tanh"},
        },
    )
    load(model, _state(weights(folder, where)), where, folder)
    tokenizer = HFTokenizer(str(folder), context_length=text["max_position_embeddings"], clean="canonicalize")
    return model, transform(folder, vision["image_size"], HALF, HALF, "squash"), tokenizer


def _tower(vision: Mapping[str, Any]) -> str:
    """The name of a timm model of these sizes, which is registered if it is new."""
    name = "transformers_siglip_" + "_".join(str(vision[key]) for key in VISION if key != "hidden_act").replace(".", "")
    if timm.is_model(name):
        return name

    def make(pretrained: bool = False, **more: Any) -> VisionTransformer:
        kept = {key: more[key] for key in ("num_classes", "global_pool", "drop_path_rate") if key in more}
        return VisionTransformer(
            patch_size=vision["patch_size"],
            embed_dim=vision["hidden_size"],
            depth=vision["num_hidden_layers"],
            num_heads=vision["num_attention_heads"],
            mlp_ratio=vision["intermediate_size"] / vision["hidden_size"],
            class_token=False,
            norm_layer=partial(nn.LayerNorm, eps=vision["layer_norm_eps"]),
            act_layer="gelu_tanh",
            img_size=vision["image_size"],
            **kept,
        )

    make.__name__ = name
    register_model(make)
    return name


def _state(theirs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights under the names of open_clip and timm, with q, k and v in one."""
    state: dict[str, torch.Tensor] = {}
    packed: dict[str, dict[str, torch.Tensor]] = {}
    for name, value in theirs.items():
        block = BLOCK.fullmatch(name)
        if name.startswith("vision_model.head.attention.in_proj_"):
            width, kind = len(value) // 3, name.rpartition("_")[2]
            state[f"{TRUNK}.attn_pool.q.{kind}"], state[f"{TRUNK}.attn_pool.kv.{kind}"] = value[:width], value[width:]
        elif block is None:
            ours = renamed(name, NAMES)
            state[ours] = value[None] if ours.endswith("pos_embed") else value
        else:
            stem, parts = PLACES[block[1]]
            place = f"{stem}.{block[2]}"
            if block[3] in parts:
                state[f"{place}.{parts[block[3]]}.{block[4]}"] = value
            else:
                fused = f"{place}.attn.in_proj_{block[4]}" if block[1] == "text" else f"{place}.attn.qkv.{block[4]}"
                packed.setdefault(fused, {})[block[3]] = value
    return state | joined(packed)
