"""Canonical addresses of biases, norms and linear maps in both towers, and a way to add to them temporarily.

A block of any layout has two norms and, in its attention and MLP, linear maps with biases; a tower ends in one more norm.
The keys, such as ``text_0_norm1_weight``, say where a tensor is and not what open_clip calls it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn
from torch.func import functional_call

from benchmark.backbones.clip import Backbone
from benchmark.backbones.towers import TowerName, tower


@dataclass(frozen=True)
class Address:
    """A tensor of a tower, or some rows of one: ``parameter`` is its name in the backbone's model."""

    key: str
    parameter: str
    rows: tuple[int, int]
    shape: tuple[int, ...]
    transposed: bool = False
    """Whether the backbone keeps a linear map as (d_in, d_out), as open_clip does for the projection of a tower."""


def norms(backbone: Backbone, name: TowerName) -> list[Address]:
    """Weights and biases of the two norms of every block and of the final norm: what all transformer CLIPs have."""
    encoder, addresses = tower(backbone, name), _Addresses(backbone, name)
    for layer, block in enumerate(encoder.blocks):
        for place, norm in encoder.norms(block).items():
            addresses.add_norm(f"{layer}_{place}", norm)
    addresses.add_norm("final", encoder.final_norm)
    return addresses.list


def biases(backbone: Backbone, name: TowerName) -> list[Address]:
    """Every bias of the blocks and the final norm, but for that of the keys: it shifts all scores of a query alike, so
    attention is invariant to it."""
    encoder, addresses = tower(backbone, name), _Addresses(backbone, name)
    for layer, block in enumerate(encoder.blocks):
        for place, norm in encoder.norms(block).items():
            addresses.add(f"{layer}_{place}_bias", norm.bias)  # type: ignore[arg-type]
        _attention_biases(addresses, layer, encoder.attention(block))
        for part, module in encoder.mlp(block).named_modules():
            if isinstance(module, nn.Linear | nn.LayerNorm):
                addresses.add(f"{layer}_mlp_{MLP.get(part, part)}_bias", module.bias)
    addresses.add("final_bias", getattr(encoder.final_norm, "bias", None))
    return addresses.list


def linears(backbone: Backbone, name: TowerName) -> list[Address]:
    """Weights of the linear maps of a tower: q, k, v and out of every block, fc1 and fc2 of its MLP if that is not gated,
    and the projection into the joint space. ``shape`` is (d_out, d_in) in all cases."""
    encoder, addresses = tower(backbone, name), _Addresses(backbone, name)
    for layer, block in enumerate(encoder.blocks):
        _attention_weights(addresses, layer, encoder.attention(block))
        parts = {part: module for part, module in encoder.mlp(block).named_modules() if isinstance(module, nn.Linear)}
        if len(parts) == 2 and parts.keys() <= MLP.keys():
            for part, module in parts.items():
                addresses.add(f"{layer}_{'fc1' if MLP[part] == 'in' else 'fc2'}", module.weight)
    projection = encoder.projection()
    if isinstance(projection, nn.Linear):
        addresses.add("projection", projection.weight)
    elif projection is not None:
        addresses.add("projection", projection)
        last = addresses.list.pop()
        addresses.list.append(replace(last, shape=last.shape[::-1], transposed=True))
    return addresses.list


def _attention_weights(addresses: _Addresses, layer: int, attention: Any) -> None:
    fused = getattr(getattr(attention, "qkv", None), "weight", None)
    together = getattr(attention, "in_proj_weight", None) if fused is None else fused
    for place, role in enumerate("qkv"):
        if together is not None:
            width = len(together) // 3
            addresses.add(f"{layer}_{role}", together, (place * width, (place + 1) * width))
        else:
            addresses.add(f"{layer}_{role}", getattr(getattr(attention, f"{role}_proj", None), "weight", None))
    out = getattr(attention, "out_proj", None) or getattr(attention, "proj", None)
    addresses.add(f"{layer}_out", getattr(out, "weight", None))


MLP = {"c_fc": "in", "fc1": "in", "c_proj": "out", "fc2": "out"}
"""The same layer of an MLP by its names in open_clip and timm; a gated MLP (EVA-02) has others too."""


def _attention_biases(addresses: _Addresses, layer: int, attention: Any) -> None:
    for together in (getattr(attention, "in_proj_bias", None), _bias(attention, "qkv")):
        if together is not None:
            width = len(together) // 3
            addresses.add(f"{layer}_q_bias", together, (0, width))
            addresses.add(f"{layer}_v_bias", together, (2 * width, 3 * width))
    for role in ("q", "v"):
        own = getattr(attention, f"{role}_bias", None)
        addresses.add(f"{layer}_{role}_bias", own if own is not None else _bias(attention, f"{role}_proj"))
    addresses.add(f"{layer}_inner_norm_bias", _bias(attention, "norm"))
    out = _bias(attention, "out_proj")
    addresses.add(f"{layer}_out_bias", out if out is not None else _bias(attention, "proj"))


def _bias(module: Any, name: str) -> torch.Tensor | None:
    return getattr(getattr(module, name, None), "bias", None)


class _Addresses:
    """Collects the addresses of one tower; what is absent is left out."""

    def __init__(self, backbone: Backbone, name: TowerName) -> None:
        self.tower, self.list = name, list[Address]()
        self._names = {id(parameter): parameter_name for parameter_name, parameter in backbone.model.named_parameters()}

    def add(self, key: str, tensor: torch.Tensor | None, rows: tuple[int, int] | None = None) -> None:
        if tensor is not None:
            first, last = rows or (0, len(tensor))
            shape = (last - first, *tensor.shape[1:])
            self.list.append(Address(f"{self.tower}_{key}", self._names[id(tensor)], (first, last), shape))

    def add_norm(self, key: str, norm: Any) -> None:
        self.add(f"{key}_weight", getattr(norm, "weight", None))
        self.add(f"{key}_bias", getattr(norm, "bias", None))


class _Holder(nn.Module):
    """Runs a function while ``functional_call`` has other tensors in the place of the model's."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, function: Callable[..., torch.Tensor], *args: Any) -> torch.Tensor:
        return function(*args)


def with_changes(
    backbone: Backbone, changes: Mapping[Address, torch.Tensor], function: Callable[..., torch.Tensor], *args: Any
) -> torch.Tensor:
    """``function(*args)`` with each change added to the backbone's tensor; the backbone itself stays as it is."""
    changed: dict[str, torch.Tensor] = {}
    parts_of: dict[str, list[tuple[Address, torch.Tensor]]] = {}
    for address, change in changes.items():
        parts_of.setdefault(address.parameter, []).append((address, change))
    for name, parts in parts_of.items():
        tensor: torch.Tensor = backbone.model.get_parameter(name)
        for address, change in parts:
            first, last = address.rows
            change = change.T if address.transposed else change
            if (first, last) == (0, len(tensor)):
                tensor = tensor + change
            else:
                tensor = torch.cat([tensor[:first], tensor[first:last] + change, tensor[last:]])
        changed[f"model.{name}"] = tensor
    output: torch.Tensor = functional_call(_Holder(backbone.model), changed, (function, *args))
    return output
