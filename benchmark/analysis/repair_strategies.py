"""Ways to make a module of the old backbone work on the new one. One class is one way; ``REPAIRS`` lists them.

To add one, derive from ``Repair`` and append it to the list: it is tried on every module that allows it, evaluated and
costed like the others.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from benchmark.analysis.procrustes import Maps
from benchmark.backbones.clip import Backbone
from benchmark.data.batch import ClassList, FewShots
from benchmark.data.features import FeatureStore
from benchmark.data.task import Task
from benchmark.method.base import Incompatible, Method, MethodConfig, axes_of
from benchmark.training.evaluation import attach, scores
from benchmark.training.loop import Precision, derive_seed, few_shots, fit


@dataclass(frozen=True)
class Case:
    """A module of ``old`` that is to work on ``new``."""

    cls: type[Method]
    config: MethodConfig
    tensors: Mapping[str, torch.Tensor]
    """What was learnt on the old backbone."""
    old: Backbone
    new: Backbone
    task: Task
    store: FeatureStore
    precision: Precision = "fp32"

    def attach(self, tensors: Mapping[str, torch.Tensor], classes: ClassList) -> Method:
        """A module on the new backbone.

        Raises:
            Incompatible: it does not fit.
        """
        return attach(self.cls, self.config, self.new, classes, dict(tensors), self.shown)

    @cached_property
    def shown(self) -> FewShots | None:
        """The training images, for modules that need them wherever they are."""
        return few_shots(self.new, self.task, self.store) if self.cls.info.keeps_images else None


@dataclass(frozen=True)
class Repaired:
    """What a repair makes of a module, and what it needed for it."""

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
    """One way to repair."""

    name: str
    title: str
    version: int = 1
    """Raised when a change alters results."""

    def incompatibility(self, cls: type[Method], tensors: Mapping[str, torch.Tensor]) -> str | None:
        """Why it cannot be applied to such a module, in a sentence; None if it can."""
        return None

    @abstractmethod
    def apply(self, case: Case) -> Repaired:
        """Repair the module of ``case``.

        Raises:
            Incompatible: it cannot be done on this backbone.
        """


class Remap(Repair):
    """The module goes through an orthogonal map between the old and the new space (see ``mapping``). Nothing but the two
    backbones is needed: no images, no labels, no steps."""

    name, title = "remap", "remap"

    def incompatibility(self, cls: type[Method], tensors: Mapping[str, torch.Tensor]) -> str | None:
        if not tensors:
            return "it has learnt nothing that could be mapped"
        inside = [name for name in tensors if axes_of(name, cls.spaces) is None]
        return f"{inside[0]} lives in no space that can be mapped" if inside else None

    def apply(self, case: Case) -> Repaired:
        maps = Maps(case.old, case.new, case.task.class_list().template)
        try:
            return Repaired(maps.carry(case.tensors, case.cls.spaces))
        except ValueError as error:
            raise Incompatible(str(error)) from None


class WarmStart(Repair):
    """Training goes on from the reused module, for some steps on the new backbone with the method's own schedule over
    these steps. All the task's training images are needed."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.name, self.title = f"warm-start-{steps}", f"warm start, {steps} steps"

    def incompatibility(self, cls: type[Method], tensors: Mapping[str, torch.Tensor]) -> str | None:
        return None if tensors else "it has learnt nothing that training could go on from"

    def apply(self, case: Case) -> Repaired:
        config = case.config.model_copy(update={"steps": self.steps})
        torch.manual_seed(derive_seed("init", case.task.id.seed))
        shown = few_shots(case.new, case.task, case.store)
        method = case.cls(config, case.new, case.task.class_list(), shown)
        method.load(dict(case.tensors))
        log = fit(method, case.task, case.store, precision=case.precision)
        if not log.steps:
            raise Incompatible("it is not learnt by gradient steps")
        images = len(case.task.train)
        return Repaired(method.tensors(), images=images, labels=images, steps=log.steps)


class Ensemble(Repair):
    """Probabilities of the reused module and of zero-shot are averaged; the share that is best (by log loss) on held-out
    images of the training classes is taken, or one half where the data set has none."""

    name, title = "ensemble", "ensemble with zero-shot"
    shares = tuple(i / 10 for i in range(11))

    def apply(self, case: Case) -> Repaired:
        held_out = case.task.val
        method = case.attach(case.tensors, case.task.class_list())
        if not len(held_out):
            return Repaired(case.tensors, 0.5, notes={"chosen": "no held-out images"})
        labels = torch.tensor(held_out.labels)
        losses = []
        mine, zero = (_probabilities(each, held_out, case) for each in (method, zero_shot(case, method.classes)))
        for share in self.shares:
            losses.append(float(F.nll_loss(((1 - share) * mine + share * zero).clamp_min(1e-12).log(), labels)))
        return Repaired(case.tensors, self.shares[int(np.argmin(losses))], images=len(labels), labels=len(labels))


def zero_shot(case: Case, classes: ClassList) -> Method:
    """The new backbone with no module."""
    return Method(MethodConfig(), case.new, classes).eval()  # type: ignore[return-value]


def _probabilities(method: Method, examples: Any, case: Case) -> torch.Tensor:
    bank = case.store.testing(case.new, examples, pixels=method.needs_pixels)
    return torch.cat([logits.softmax(1).cpu() for logits in scores(method, bank, case.precision)])


def predictions(case: Case, repaired: Repaired, test: Any, columns: list[int] | None) -> np.ndarray:
    """Predicted labels (N,) of a repaired module on a test set; ``columns``: see ``evaluation.scores``."""
    classes = case.task.class_list(test, all_classes=columns is not None)
    method, share = case.attach(repaired.tensors, classes), repaired.zero_shot_share
    bank = case.store.testing(case.new, test.examples, pixels=method.needs_pixels)
    found = torch.cat([logits.softmax(1) if share else logits for logits in scores(method, bank, case.precision, columns)])
    if share:
        plain = case.store.testing(case.new, test.examples, pixels=False)
        zero = zero_shot(case, classes)
        others = torch.cat([logits.softmax(1) for logits in scores(zero, plain, case.precision, columns)])
        found = (1 - share) * found + share * others
    labels: np.ndarray = found.argmax(1).cpu().numpy().astype(np.uint16)
    return labels


WARM_STARTS = (5, 20, 100)
REPAIRS: tuple[Repair, ...] = (Remap(), Ensemble(), *(WarmStart(steps) for steps in WARM_STARTS))
"""All ways, cheapest first. Reuse and retraining are cells of the main matrix and stand beside them."""
