"""Learnt tokens inside the towers: prompts for the image tower, and prompts that replace tokens before deeper blocks.

Image prompts stand right behind the class token, in all layouts: without positions their place does not matter to a plain
ViT, and towers with rotary positions (EVA-02) can skip a longer start. Sources: VPT (Jia et al. 2022), section 3.2 "deep";
MaPLe (Khattak et al. 2023), section 3.2, for the text tower.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

from benchmark.backbones.attention import blocks, layers
from benchmark.backbones.clip import Backbone


def vision_width(backbone: Backbone) -> int:
    """d_v, the width of the image tower's tokens."""
    visual: Any = backbone.model.visual
    return int(visual.trunk.embed_dim if hasattr(visual, "trunk") else visual.class_embedding.shape[0])


def no_image_prompts(backbone: Backbone) -> str | None:
    """Why prompts cannot enter the image tower; None if they can."""
    visual: Any = backbone.model.visual
    if not layers(backbone, "vision"):
        return f"its image tower ({type(visual).__name__}) is no transformer, so it takes no image prompts"
    token = visual.trunk.global_pool == "token" if hasattr(visual, "trunk") else visual.pool_type == "tok"
    return None if token else "its image tower does not read a class token, so image prompts would change what it reads"


@contextmanager
def text_prompts(backbone: Backbone, prompts: Mapping[int, torch.Tensor], start: int) -> Iterator[None]:
    """While open, the tokens from position ``start`` on are replaced by ``prompts[i]`` (M, d_t) before text block i."""
    towers_blocks = blocks(backbone, "text")
    with ExitStack() as stack:
        for layer, prompt in prompts.items():
            stack.callback(towers_blocks[layer].register_forward_pre_hook(_replacing(prompt, start)).remove)
        yield


@contextmanager
def image_prompts(backbone: Backbone, prompts: Mapping[int, torch.Tensor]) -> Iterator[None]:
    """While open, ``prompts[0]`` (M, d_v) joins the image tokens, before the norm that precedes the first block where there
    is one, and is replaced by ``prompts[i]`` before block i. Blocks without a prompt of their own let it flow on."""
    visual: Any = backbone.model.visual
    entry: nn.Module = visual.trunk.norm_pre if hasattr(visual, "trunk") else visual.ln_pre
    towers_blocks, count = blocks(backbone, "vision"), len(prompts[0])
    with ExitStack() as stack:
        stack.callback(entry.register_forward_pre_hook(_joining(prompts[0])).remove)
        for layer, prompt in prompts.items():
            if layer:
                stack.callback(towers_blocks[layer].register_forward_pre_hook(_replacing(prompt, 1)).remove)
        for attention in (block.attn for block in towers_blocks):
            before = getattr(attention, "num_prefix_tokens", None)
            if before is not None:  # rotary positions start behind these
                stack.callback(setattr, attention, "num_prefix_tokens", before)
                attention.num_prefix_tokens = before + count
        yield


Hook = Callable[[nn.Module, tuple[Any, ...]], tuple[Any, ...]]


def _joining(prompt: torch.Tensor) -> Hook:
    def hook(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        x = inputs[0]
        rows = prompt.to(x.dtype).expand(len(x), -1, -1)
        return torch.cat([x[:, :1], rows, x[:, 1:]], dim=1), *inputs[1:]

    return hook


def _replacing(prompt: torch.Tensor, start: int) -> Hook:
    def hook(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        x = inputs[0]
        rows = prompt.to(x.dtype).expand(len(x), -1, -1)
        return torch.cat([x[:, :start], rows, x[:, start + len(prompt) :]], dim=1), *inputs[1:]

    return hook
