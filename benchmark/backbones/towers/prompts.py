"""Learnt tokens inside the encoders: prompts for the image encoder, and prompts that replace tokens before deeper blocks.

Image prompts come right after the class token, in all layouts that have one: without positions their place does not matter
to a plain ViT, and encoders with rotary positions (EVA-02) can skip a longer start. Sources: VPT (Jia et al. 2022), section
3.2 "deep"; MaPLe (Khattak et al. 2023), section 3.2, for the text encoder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

from benchmark.backbones.clip import Backbone
from benchmark.backbones.towers import tower


@contextmanager
def text_prompts(
    backbone: Backbone, prompts: Mapping[int, torch.Tensor], start: int, *, added: bool = False
) -> Iterator[None]:
    """While open, the tokens from position ``start`` on are replaced by ``prompts[i]`` (M, d_t) before text block i; with
    ``added`` it is added to them."""
    blocks, change = tower(backbone, "text").blocks, _adding if added else _replacing
    with ExitStack() as stack:
        for layer, prompt in prompts.items():
            stack.callback(blocks[layer].register_forward_pre_hook(change(prompt, start)).remove)
        yield


@contextmanager
def image_prompts(backbone: Backbone, prompts: Mapping[int, torch.Tensor]) -> Iterator[None]:
    """While open, ``prompts[0]`` (M, d_v) joins the image tokens, before the norm that precedes the first block where there
    is one, and is replaced by ``prompts[i]`` before block i. Blocks without a prompt of their own let it flow on."""
    encoder, count = tower(backbone, "vision"), len(prompts[0])
    start, pool = encoder.first_token, encoder.pooling()
    with ExitStack() as stack:
        stack.callback(encoder.entry.register_forward_pre_hook(_joining(prompts[0], start)).remove)
        for layer, prompt in prompts.items():
            if layer:
                stack.callback(encoder.blocks[layer].register_forward_pre_hook(_replacing(prompt, start)).remove)
        for attention in map(encoder.attention, encoder.blocks):
            before = getattr(attention, "num_prefix_tokens", None)
            if before is not None:  # rotary positions start behind these
                stack.callback(setattr, attention, "num_prefix_tokens", before)
                attention.num_prefix_tokens = before + count
        if pool is not None:
            stack.callback(pool.register_forward_pre_hook(_removing(start, count)).remove)
        yield


Hook = Callable[[nn.Module, tuple[Any, ...]], tuple[Any, ...]]


def _joining(prompt: torch.Tensor, start: int) -> Hook:
    def hook(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        x = inputs[0]
        rows = prompt.to(x.dtype).expand(len(x), -1, -1)
        return torch.cat([x[:, :start], rows, x[:, start:]], dim=1), *inputs[1:]

    return hook


def _replacing(prompt: torch.Tensor, start: int) -> Hook:
    def hook(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        x = inputs[0]
        rows = prompt.to(x.dtype).expand(len(x), -1, -1)
        return torch.cat([x[:, :start], rows, x[:, start + len(prompt) :]], dim=1), *inputs[1:]

    return hook


def _adding(change: torch.Tensor, start: int) -> Hook:
    def hook(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        x, end = inputs[0], start + len(change)
        return torch.cat([x[:, :start], x[:, start:end] + change.to(x.dtype), x[:, end:]], dim=1), *inputs[1:]

    return hook


def _removing(start: int, count: int) -> Hook:
    def hook(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        x = inputs[0]
        return torch.cat([x[:, :start], x[:, start + count :]], dim=1), *inputs[1:]

    return hook
