"""Trusts what was learnt as far as the two backbones are related."""

from __future__ import annotations

import torch

from benchmark.analysis.repair_base import Case, Repair, Repaired
from benchmark.method.base import Method
from benchmark.method.terms import axes_of
from benchmark.training.modules import Module


class Scaled(Repair):
    """What a module stores as changes is multiplied by the relatedness of the two backbones: of their joint spaces for
    changes that live there, else of their token embeddings. No images, no labels. Ours."""

    name, title, effort = "scaled", "scaled by relatedness", 2

    def applies_to(self, cls: type[Method]) -> bool:
        return bool(cls.offsets)

    def incompatibility(self, module: Module) -> str | None:
        if not any(map(module.cls.is_offset, module.tensors)):
            return "it stores no changes that could be scaled"
        if module.cls.carry.__func__ is not Method.carry.__func__:  # type: ignore[attr-defined]
            return "its method scales its changes itself"
        return None

    def apply(self, case: Case) -> Repaired:
        factors = {name: self.factor(case, name) for name in case.module.tensors if case.module.cls.is_offset(name)}
        tensors = {name: value * factors.get(name, 1.0) for name, value in case.module.tensors.items()}
        return case.with_tensors(tensors, notes={"factor": sum(factors.values()) / len(factors)})

    def factor(self, case: Case, name: str) -> float:
        """What a change is multiplied by."""
        if case.old.digest == case.new.digest:
            return 1.0
        axes = axes_of(name, case.module.cls.spaces) or ()
        return case.passage.joint_relatedness if "features" in axes else case.passage.relatedness


class Unchanged(Scaled):
    """The changes are left out. What is left may be more than zero-shot: the words that an offset prompt starts at, say."""

    name, title, effort = "unchanged", "without its changes", 3
    control = True

    def incompatibility(self, module: Module) -> str | None:
        return None if any(map(module.cls.is_offset, module.tensors)) else "it stores no changes that could be left out"

    def apply(self, case: Case) -> Repaired:
        is_offset = case.module.cls.is_offset
        tensors = {
            name: torch.zeros_like(value) if is_offset(name) else value for name, value in case.module.tensors.items()
        }
        return case.with_tensors(tensors)
