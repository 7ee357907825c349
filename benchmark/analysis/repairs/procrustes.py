"""Maps a module by a rotation from the old to the new space."""

from __future__ import annotations

from benchmark.analysis.repair_base import Case, Repair, Repaired
from benchmark.method.base import Method
from benchmark.method.space_maps import Fit, procrustes
from benchmark.method.terms import Incompatible, axes_of
from benchmark.training.modules import Module


class Procrustes(Repair):
    """The module is mapped by an orthogonal map between the old and the new space (see ``space_maps``). Only the two
    backbones are needed: no images, no labels, no steps."""

    name, title, effort = "procrustes", "Procrustes alignment", 0
    fit: Fit = staticmethod(procrustes)

    def applies_to(self, cls: type[Method]) -> bool:
        return bool(cls.spaces)

    def incompatibility(self, module: Module) -> str | None:
        if not module.tensors:
            return "it has no learnt tensors to map"
        inside = [name for name in module.tensors if axes_of(name, module.cls.spaces) is None]
        return f"{inside[0]} lives in no space that can be mapped" if inside else None

    def apply(self, case: Case) -> Repaired:
        maps = case.passage.maps(case.task.class_list().template, self.fit)
        try:
            mapped = maps.carry(case.module.tensors, case.module.cls.spaces)
        except ValueError as error:
            raise Incompatible(str(error)) from None
        return case.with_tensors(mapped)
