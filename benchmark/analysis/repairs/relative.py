"""Describes a prompt relative to words, and finds the vectors that stand in the same relation to them in the new space."""

from __future__ import annotations

from benchmark.analysis.repair_base import Case, Repair, Repaired
from benchmark.method.space_maps import relative
from benchmark.method.terms import Incompatible, axes_of
from benchmark.training.modules import Module


class Relative(Repair):
    """Every vector that lives among the token embeddings goes through ``space_maps.relative``; the vectors of a tensor then
    get, together, the mean and deviation of the new embeddings. Changes keep their size relative to the embeddings instead.
    No images, no labels, no equal widths.

    Source: Wu et al. 2024, "Zero-Shot Continuous Prompt Transfer" (ICLR), sections 3.2 and 3.3, with all shared words as
    anchors and without their choice of the best step on labelled data. Changes are our addition.
    """

    name, title, effort = "relative", "relative transfer", 4

    def incompatibility(self, module: Module) -> str | None:
        if not module.tensors:
            return "it has no learnt tensors"
        for name, value in module.tensors.items():
            axes = axes_of(name, module.cls.spaces)
            if axes is None or len(axes) != value.ndim or axes[-1] != "tokens" or any(axes[:-1]):
                return f"{name} is not a list of token embeddings"
        return None

    def apply(self, case: Case) -> Repaired:
        try:
            old, new = case.passage.word_vectors("tokens")
        except ValueError as error:
            raise Incompatible(str(error)) from None
        carry = relative(old, new)
        tensors = {}
        for name, value in case.module.tensors.items():
            moved = value @ carry
            if case.module.cls.is_offset(name):
                tensors[name] = moved * (value.norm() / old.std()) / (moved.norm() / new.std()).clamp_min(1e-12)
            else:
                tensors[name] = (moved - moved.mean()) / moved.std().clamp_min(1e-12) * new.std() + new.mean()
        return case.with_tensors(tensors)
