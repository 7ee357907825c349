"""Carries a module through a ridge regression between the old and the new space."""

from __future__ import annotations

from benchmark.analysis.repairs.procrustes import Procrustes
from benchmark.method.space_maps import Fit, ridge
from benchmark.method.terms import axes_of
from benchmark.training.modules import Module


class Ridge(Procrustes):
    """Like Procrustes alignment, with a map that need not preserve lengths and angles and therefore fits the words better.
    It maps vectors; a matrix that acts on vectors would need the inverse map, so modules with such a matrix are refused."""

    name, title, effort = "ridge", "ridge map", 1
    fit: Fit = staticmethod(ridge)

    def incompatibility(self, module: Module) -> str | None:
        matrices = [
            name for name in module.tensors if name.endswith("weight") and any(axes_of(name, module.cls.spaces) or ())
        ]
        if matrices:
            return f"{matrices[0]} acts on vectors of the space, and a ridge map applies only to the vectors themselves"
        return super().incompatibility(module)
