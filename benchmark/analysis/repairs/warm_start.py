"""Continues training from the reused module for a few steps."""

from __future__ import annotations

from benchmark.analysis.repair_base import Case, Repair, Repaired
from benchmark.method.terms import Incompatible
from benchmark.training.modules import Module, train_module

STEPS = (5, 20, 100)


class WarmStart(Repair):
    """Training continues from the reused module, for some steps on the new backbone with the method's own schedule over
    these steps. All the task's training images are needed."""

    effort = 20
    version = 2

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.name, self.title = f"warm-start-{steps}", f"warm start, {steps} steps"

    @classmethod
    def instances(cls) -> list[Repair]:
        return [cls(steps) for steps in STEPS]

    def incompatibility(self, module: Module) -> str | None:
        return None if module.tensors else "it has no learnt tensors from which training could continue"

    def apply(self, case: Case) -> Repaired:
        module, images = case.module, len(case.training_images.examples)
        config = module.config.model_copy(update={"steps": self.steps})
        method, log = train_module(
            module.cls,
            config,
            case.new,
            case.task,
            case.features,
            precision=case.precision,
            start=case.carried.tensors,
        )
        if not log.steps:
            raise Incompatible("it is not trained by gradient steps")
        return case.with_tensors(method.tensors(), images=images, labels=images, steps=log.steps)
