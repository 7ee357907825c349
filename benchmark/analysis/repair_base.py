"""The contract of a repair: a way to make a module of the old backbone work on the new one.

To add one, put a file with a subclass of ``Repair`` into ``benchmark/analysis/repairs/``: the repair analysis tries it on
every module that allows it, evaluates it and reports its cost.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, ClassVar

import torch

from benchmark.analysis import repairs
from benchmark.backbones.clip import Backbone
from benchmark.backbones.precision import Precision
from benchmark.config.discovery import classes_in
from benchmark.data.batch import ClassList, FewShots
from benchmark.data.features import FeatureStore
from benchmark.data.task import Task
from benchmark.method.base import Method
from benchmark.training.loop import few_shots
from benchmark.training.modules import Module, attach


@dataclass(frozen=True)
class Case:
    """A module of ``old`` that is to work on ``new``."""

    module: Module
    old: Backbone
    new: Backbone
    task: Task
    features: FeatureStore
    precision: Precision = "fp32"

    def attach(self, classes: ClassList) -> Method:
        """The module as it is on the new backbone.

        Raises:
            Incompatible: it does not fit.
        """
        module = self.module
        return attach(module.cls, module.config, self.new, classes, module.tensors, self.shown)

    @cached_property
    def shown(self) -> FewShots | None:
        """The training images, for modules that keep them."""
        module = self.module
        return few_shots(module.config, self.new, self.task, self.features) if module.cls.info.keeps_images else None


@dataclass(frozen=True)
class Repaired:
    """A repaired module, and what the repair needed."""

    tensors: Mapping[str, torch.Tensor]
    zero_shot_share: float = 0.0
    """Share of zero-shot's probabilities in the prediction; the module has the rest."""
    images: int = 0
    """Images of the task that had to go through the new backbone before the module could be used."""
    labels: int = 0
    """Of these, how many with their labels."""
    steps: int = 0
    notes: Mapping[str, Any] = field(default_factory=dict)


class Repair(ABC):
    """A way to repair a module."""

    name: str
    title: str
    effort: ClassVar[int]
    """Place in lists, cheapest first."""
    version: int = 1
    """Raise when a change alters results."""
    steps: int = 0
    """Gradient steps that it takes."""

    @classmethod
    def instances(cls) -> list[Repair]:
        """The repairs of this kind; several if it has a setting that is tried at several values."""
        return [cls()]

    def incompatibility(self, module: Module) -> str | None:
        """Why it cannot be applied to a module, in a sentence; None if it can."""
        return None

    @abstractmethod
    def apply(self, case: Case) -> Repaired:
        """Repair the module of ``case``.

        Raises:
            Incompatible: it cannot be done on this backbone.
        """


@lru_cache(maxsize=1)
def all_repairs() -> tuple[Repair, ...]:
    """All repairs, cheapest first. Reuse and retraining are cells of the main matrix and are shown next to them."""
    kinds = sorted(classes_in(repairs, Repair), key=lambda cls: cls.effort)  # type: ignore[type-abstract]
    return tuple(repair for cls in kinds for repair in cls.instances())
