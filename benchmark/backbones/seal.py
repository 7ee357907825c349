"""Tells whether a backbone is still as it was loaded: weights, buffers, hooks, attributes, methods.

It runs after every cell, so it must cost little. A SHA-256 of all weights takes seconds for a large tower; checksums over
their integer views, computed where the weights are, take as long as reading them once or twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch

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
        self._modules = list(backbone.model.modules())
        self._tensors = [*backbone.model.parameters(), *backbone.model.buffers()]
        self._dictionaries = [
            value for module in self._modules for value in vars(module).values() if isinstance(value, dict)
        ]
        """A module keeps its hooks and parts in such, and changes them in place."""
        self._held = [dict(vars(part)) for part in (backbone, *self._modules)]
        """Keeps what is compared by identity alive, so that no identity is given to something else."""
        self._octets = _grouped(self._tensors)
        self._places = _places(self._tensors)
        self._parts, self._sums, self._glance = _parts(backbone), _sums(self._octets), self._look()
        self._class = dict(vars(Backbone))

    def broken(self) -> str | None:
        """What has changed, in words; None if nothing has."""
        name = self.backbone.name
        if self._look() != self._glance:  # rarely; a value may also have been replaced by an equal one
            parts = _parts(self.backbone)
            changed = [part for part in self._parts.keys() | parts.keys() if self._parts.get(part) != parts.get(part)]
            if changed:
                return f"it changed backbone {name}: {min(changed)} has other attributes, hooks or parts"
        octets = self._octets if self._places and _places(self._tensors) == self._places else _grouped(self._tensors)
        return None if _sums(octets) == self._sums else f"it changed the weights of backbone {name}"

    def _look(self) -> list[Any]:
        """Identities of everything but numbers, in a tenth of the time that ``_parts`` takes to say it in names."""
        lazy = {name for name, value in vars(type(self.backbone)).items() if isinstance(value, cached_property)}
        owns = [module.__dict__ for module in self._modules]
        return [
            [(key, id(value)) for key, value in vars(self.backbone).items() if key not in lazy],
            [module.__class__ for module in self._modules],
            [tuple(own) for own in owns],
            [tuple(map(id, own.values())) for own in owns],
            [(place, tuple(map(id, inner.values()))) for place, inner in enumerate(self._dictionaries) if inner],
            [(tensor.requires_grad, tensor.grad is None) for tensor in self._tensors],
        ]

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


def _places(tensors: Sequence[torch.Tensor]) -> list[int]:
    """Where tensors are in memory; empty if one is spread over it, so that its octets are a copy."""
    return [value.data_ptr() for value in tensors] if all(value.is_contiguous() for value in tensors) else []


def _grouped(tensors: Sequence[torch.Tensor]) -> list[list[torch.Tensor]]:
    """The octets of parameters and buffers, those too that a checkpoint does not hold, in groups to be summed together."""
    groups: list[list[torch.Tensor]] = [[]]
    size = 0
    for value in tensors:
        octets = value.detach().contiguous().reshape(-1).view(torch.uint8)
        if groups[-1] and size + len(octets) > TOGETHER:
            groups.append([])
            size = 0
        groups[-1].append(octets)
        size += len(octets)
    return groups


def _sums(groups: Sequence[Sequence[torch.Tensor]]) -> list[int]:
    """Checksums of groups of octets."""
    return torch.cat([_sum(torch.cat(list(group)) if len(group) > 1 else group[0]) for group in groups]).tolist()


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
