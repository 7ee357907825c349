"""Tells whether a backbone is still as it was loaded: weights, buffers, hooks, attributes, methods.

It runs after every cell, so it must cost little. A SHA-256 of all weights takes seconds for a large tower; checksums over
their integer views, computed where the weights are, take as long as reading them once or twice.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from torch import nn

from benchmark.backbones.clip import Backbone

WIDTH = 1024
"""Words of eight bytes in a row of a checksum."""
TOGETHER = 2**24
"""Bytes of tensors that are summed together: many small sums would take longer than one large one."""
PLAIN = (bool, int, float, str, type(None))
"""Attributes that are compared by value; others by identity."""
ELSEWHERE = frozenset(("_parameters", "_buffers", "_modules"))
"""What a module keeps there is looked at by itself."""


class Seal:
    """A backbone as it is now, to be compared with what it is later."""

    def __init__(self, backbone: Backbone) -> None:
        self.backbone = backbone
        self._parts, self._sums = _parts(backbone), _sums(backbone.model)
        self._class = dict(vars(Backbone))

    def broken(self) -> str | None:
        """What has changed, in words; None if nothing has."""
        name, parts = self.backbone.name, _parts(self.backbone)
        if parts != self._parts:
            changed = [part for part in self._parts.keys() | parts.keys() if self._parts.get(part) != parts.get(part)]
            return f"it changed backbone {name}: {min(changed)} has other attributes, hooks or parts"
        return None if _sums(self.backbone.model) == self._sums else f"it changed the weights of backbone {name}"

    def restore_class(self) -> str | None:
        """Put back methods that all backbones share; says which had been replaced, None if none was."""
        now = dict(vars(Backbone))
        replaced = [name for name in self._class.keys() | now.keys() if self._class.get(name) is not now.get(name)]
        for name in replaced:
            if name in self._class:
                setattr(Backbone, name, self._class[name])
            else:
                delattr(Backbone, name)
        return f"it replaced {', '.join(sorted(replaced))} of all backbones" if replaced else None


def _sums(model: nn.Module) -> list[int]:
    """Checksums of all parameters and buffers, those too that a checkpoint does not hold."""
    groups: list[list[torch.Tensor]] = [[]]
    size = 0
    for value in (*model.parameters(), *model.buffers()):
        octets = value.detach().contiguous().reshape(-1).view(torch.uint8)
        if groups[-1] and size + len(octets) > TOGETHER:
            groups.append([])
            size = 0
        groups[-1].append(octets)
        size += len(octets)
    return torch.cat([_sum(torch.cat(group) if len(group) > 1 else group[0]) for group in groups]).tolist()


def _sum(octets: torch.Tensor) -> torch.Tensor:
    """Two weighted sums of a tensor's words, by column and by row: any value that changes or moves changes one of them."""
    words = octets[: len(octets) // 8 * 8].view(torch.int64)
    rows = len(words) // WIDTH
    whole, rest, last = words[: rows * WIDTH].view(-1, WIDTH), words[rows * WIDTH :], octets[len(words) * 8 :].long()
    column_sum = _weighted(torch.cat([whole.sum(0), rest, last]))
    return torch.stack([column_sum, _weighted(whole.sum(1))])


def _weighted(values: torch.Tensor) -> torch.Tensor:
    """The sum of values times odd weights, modulo 2 to the 64."""
    weights = torch.arange(len(values), device=values.device) * 0x9E3779B2 + 1
    return (values * weights).sum()


def _parts(backbone: Backbone) -> dict[str, Any]:
    """Everything but numbers: attributes, hooks, modes, which tensors are where and whether they are frozen."""
    lazy = {name for name, value in vars(type(backbone)).items() if isinstance(value, cached_property)}
    parts: dict[str, Any] = {"itself": [(key, _comparable(v)) for key, v in vars(backbone).items() if key not in lazy]}
    for name, module in backbone.model.named_modules():
        own = [(key, _comparable(value)) for key, value in vars(module).items() if key not in ELSEWHERE]
        parts[name or "its model"] = (type(module), id(module), own)
    parts["its weights"] = [(id(p), p.requires_grad, p.grad is None) for p in backbone.model.parameters()]
    parts["its buffers"] = [id(buffer) for buffer in backbone.model.buffers()]
    return parts


def _comparable(value: Any) -> Any:
    if isinstance(value, PLAIN):
        return value
    return tuple(map(id, value.values())) if isinstance(value, dict) else id(value)
