"""Canonical addresses of the attention projections of a tower, and a context in which something is added to their outputs.

Three layouts hold the same four maps (q, k, v, out): packed (``nn.MultiheadAttention``), fused (timm's one ``qkv``
linear layer) and separate (EVA-02's ``q_proj``, ``k_proj``, ``v_proj``). A method names a projection by tower, layer and
role and need not know which it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn
from torch.nn import functional as F

from benchmark.backbones.clip import Backbone
from benchmark.backbones.towers import TowerName, tower

Role = Literal["q", "k", "v", "out"]
ROLES: tuple[Role, ...] = ("q", "k", "v", "out")
Delta = Callable[[torch.Tensor], torch.Tensor]
"""Maps a projection's input (..., d_in) to what is added to its output (..., d_out)."""


@dataclass(frozen=True, order=True)
class Projection:
    """Address and shape of one linear map of an attention block."""

    tower: TowerName
    layer: int
    role: Role
    d_in: int
    d_out: int

    @property
    def key(self) -> str:
        """Name for the tensors that a method learns for this projection, such as ``text_0_q``."""
        return f"{self.tower}_{self.layer}_{self.role}"


def projections(backbone: Backbone, name: TowerName) -> list[Projection]:
    """All attention projections of a tower from first to last layer; empty if its attention has an unknown layout."""
    projections = []
    for layer, attention in enumerate(_attentions(backbone, name)):
        for role in ROLES:
            shape = _shape(attention, role)
            if shape is not None:
                projections.append(Projection(name, layer, role, *shape))
    return projections


def _attentions(backbone: Backbone, name: TowerName) -> list[Any]:
    encoder = tower(backbone, name)
    return [encoder.attention(block) for block in encoder.blocks]


def _shape(attention: Any, role: Role) -> tuple[int, int] | None:
    if isinstance(attention, nn.MultiheadAttention):
        return (attention.embed_dim, attention.embed_dim) if attention.in_proj_weight is not None else None
    if role == "out":
        linear = getattr(attention, "proj", None)
        return (linear.in_features, linear.out_features) if isinstance(linear, nn.Linear) else None
    fused = getattr(attention, "qkv", None)
    if isinstance(fused, nn.Linear):
        return fused.in_features, fused.out_features // 3
    linear = getattr(attention, f"{role}_proj", None)
    return (linear.in_features, linear.out_features) if isinstance(linear, nn.Linear) else None


def linear_of(backbone: Backbone, projection: Projection) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Weight (d_out, d_in) and bias (d_out,) of a projection."""
    attention, role = _attentions(backbone, projection.tower)[projection.layer], projection.role
    together: tuple[torch.Tensor, torch.Tensor | None] | None
    if isinstance(attention, nn.MultiheadAttention):
        together, out = (attention.in_proj_weight, attention.in_proj_bias), attention.out_proj
    else:
        fused = getattr(attention, "qkv", None)
        together = (fused.weight, fused.bias) if isinstance(fused, nn.Linear) else None
        out = attention.proj
    if role == "out" or together is None:
        linear = out if role == "out" else getattr(attention, f"{role}_proj")
        return linear.weight, linear.bias
    weight, bias = (None if value is None else value.chunk(3)[ROLES.index(role)] for value in together)
    assert weight is not None
    return weight, bias


@contextmanager
def adding(backbone: Backbone, deltas: Mapping[Projection, Delta]) -> Iterator[None]:
    """While open, each projection of ``deltas`` returns its own output plus the delta of its input."""
    by_block: dict[tuple[TowerName, int], dict[Role, Delta]] = {}
    for projection, delta in deltas.items():
        by_block.setdefault((projection.tower, projection.layer), {})[projection.role] = delta
    with ExitStack() as stack:
        for (name, layer), roles in by_block.items():
            attention = _attentions(backbone, name)[layer]
            if isinstance(attention, nn.MultiheadAttention):
                stack.enter_context(_packed(attention, roles))
            else:
                stack.enter_context(_linear(attention, roles))
        yield


@contextmanager
def _packed(attention: nn.MultiheadAttention, roles: Mapping[Role, Delta]) -> Iterator[None]:
    """``nn.MultiheadAttention`` reads its weights without calling modules, so its forward is replaced as a whole."""

    def forward(
        x: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *, attn_mask: torch.Tensor | None = None, **_: Any
    ) -> tuple[torch.Tensor, None]:
        batch, length, width = x.shape
        parts = F.linear(x, attention.in_proj_weight, attention.in_proj_bias).chunk(3, dim=-1)
        changed = [part + roles[role](x) if role in roles else part for role, part in zip(ROLES, parts, strict=False)]
        q, k, v = (part.reshape(batch, length, attention.num_heads, -1).transpose(1, 2) for part in changed)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=attn_mask).transpose(1, 2).reshape(batch, length, width)
        out = F.linear(mixed, attention.out_proj.weight, attention.out_proj.bias)
        return (out + roles["out"](mixed) if "out" in roles else out), None

    attention.forward = forward  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        del attention.forward


@contextmanager
def _linear(attention: Any, roles: Mapping[Role, Delta]) -> Iterator[None]:
    """timm attention calls linear modules, whose outputs hooks may add to."""
    with ExitStack() as stack:
        fused = isinstance(getattr(attention, "qkv", None), nn.Linear)
        if fused:
            inside: dict[Role, Delta] = {role: delta for role, delta in roles.items() if role != "out"}
            stack.callback(attention.qkv.register_forward_hook(_fused_hook(inside)).remove)
            if hasattr(attention, "qkv_bias_separate"):  # otherwise EVA reads qkv's weight without calling qkv
                stack.callback(setattr, attention, "qkv_bias_separate", attention.qkv_bias_separate)
                attention.qkv_bias_separate = True
        for role, delta in roles.items():
            if role == "out" or not fused:
                linear = attention.proj if role == "out" else getattr(attention, f"{role}_proj")
                stack.callback(linear.register_forward_hook(_hook(delta)).remove)
        yield


def _hook(delta: Delta) -> Callable[..., torch.Tensor]:
    def hook(module: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> torch.Tensor:
        return output + delta(inputs[0])

    return hook


def _fused_hook(roles: Mapping[Role, Delta]) -> Callable[..., torch.Tensor]:
    def hook(module: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> torch.Tensor:
        parts = output.chunk(3, dim=-1)
        changed = [
            part + roles[role](inputs[0]) if role in roles else part for role, part in zip(ROLES, parts, strict=False)
        ]
        return torch.cat(changed, dim=-1)

    return hook
