"""Learnt changes of tensors that a backbone has, for methods that tune its norms or biases."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import torch
from torch import nn

from benchmark.backbones.clip import Backbone
from benchmark.backbones.towers import TowerName, tower
from benchmark.backbones.towers.tensors import Address, with_changes
from benchmark.data.batch import Batch
from benchmark.method.base import Method


class Changes(nn.Module):
    """Learnt changes, zero at first, of the tensors at ``addresses``."""

    def __init__(self, addresses: Iterable[Address]) -> None:
        super().__init__()
        self.addresses = list(addresses)
        self.by = nn.ParameterDict({address.key: torch.zeros(address.shape) for address in self.addresses})

    def run(self, backbone: Backbone, function: Callable[..., torch.Tensor], *args: Any) -> torch.Tensor:
        """``function(*args)`` on the changed backbone."""
        return with_changes(backbone, {address: self.by[address.key] for address in self.addresses}, function, *args)


class TensorTuning(Method):
    """Base of methods that learn changes of some of the towers' own tensors: ``addresses`` says which."""

    towers: ClassVar[tuple[TowerName, ...]] = ("text", "vision")
    offsets = ("*",)

    @staticmethod
    def addresses(backbone: Backbone, name: TowerName) -> list[Address]:
        raise NotImplementedError

    @classmethod
    def incompatibility(cls, config: Any, backbone: Backbone) -> str | None:
        if "vision" in cls.towers and not tower(backbone, "vision").blocks:
            return "its image tower is not a transformer"
        return None

    @property
    def needs_pixels(self) -> bool:
        return "vision" in self.towers

    def build(self) -> None:
        self.changes = Changes(address for name in self.towers for address in self.addresses(self.backbone, name))

    def class_features(self) -> torch.Tensor:
        return self.template_features(lambda ids, eot: self.changes.run(self.backbone, self.backbone.encode_ids, ids, eot))

    def image_features(self, batch: Batch) -> torch.Tensor:
        if not self.needs_pixels:
            return super().image_features(batch)
        return self.changes.run(self.backbone, self.backbone.encode_image, batch.pixels)
