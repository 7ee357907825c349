"""The contract of a repair: a way to make use of a module of the old backbone once there is a new one.

To add one, put a file with a subclass of ``Repair`` into ``benchmark/analysis/repairs/``: the repair analysis tries it on
every module that allows it, evaluates it and reports its cost.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any, ClassVar

import torch
from torch.nn import functional as F

from benchmark.analysis import repairs
from benchmark.backbones.clip import Backbone
from benchmark.backbones.precision import Precision
from benchmark.config.discovery import classes_in
from benchmark.config.errors import UserError, did_you_mean
from benchmark.data.dataset import Examples, TestSet
from benchmark.data.features import FeatureStore
from benchmark.data.task import Task
from benchmark.method.base import Method, MethodConfig
from benchmark.method.passage import Passage
from benchmark.method.registry import matches
from benchmark.method.terms import Incompatible
from benchmark.training.modules import Module, carried, scorer_of
from benchmark.training.scoring import AT_HOME, Scorer, Scores, mixture, remembered


@dataclass(frozen=True)
class Case:
    """A module of ``old``, and the backbone ``new`` that is to take its place."""

    module: Module
    old: Backbone
    new: Backbone
    task: Task
    features: FeatureStore
    passage: Passage
    """From old to new."""
    precision: Precision = "fp32"
    kept_scores: Scores = field(default_factory=dict, repr=False, compare=False)
    """What was computed already for the module where it is and for backbones without one, which all repairs and new
    backbones may share: a module in the image tower has its images encoded for itself."""
    _reused_scores: Scores = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def carried(self) -> Module:
        """The module as its method carries it to the new backbone.

        Raises:
            Incompatible: it cannot be carried there.
        """
        return self.module if self.old.digest == self.new.digest else carried(self.module, self.passage)

    @property
    def reused(self) -> Scorer:
        """The module on the new backbone.

        Raises:
            Incompatible: it does not fit.
        """
        scorer = scorer_of(self.carried, self.new, self.task, self.features, precision=self.precision)
        return remembered(self._reused_scores, scorer, "reused")

    @property
    def kept(self) -> Scorer:
        """The module where it is, on the old backbone."""
        scorer = scorer_of(self.module, self.old, self.task, self.features, precision=self.precision)
        return remembered(self.kept_scores, scorer, AT_HOME)

    def zero_shot(self, backbone: Backbone) -> Scorer:
        """A backbone without a module."""
        bare = Module(Method, MethodConfig(), {})
        scorer = scorer_of(bare, backbone, self.task, self.features, precision=self.precision)
        return remembered(self.kept_scores, scorer, backbone.digest)

    def with_tensors(self, tensors: Mapping[str, torch.Tensor], **cost: Any) -> Repaired:
        """The module with other learnt tensors, on the new backbone.

        Raises:
            Incompatible: they do not fit.
        """
        changed = replace(self.module, tensors=tensors)
        scorer = scorer_of(changed, self.new, self.task, self.features, precision=self.precision)
        return Repaired(scorer, tensors, **cost)

    @property
    def held_out(self) -> TestSet | None:
        """Held-out images of the training classes; None if the data set has none."""
        return self._shown(self.task.val)

    @property
    def training_images(self) -> TestSet:
        """The training images, to be looked at without their labels.

        Raises:
            Incompatible: there are none.
        """
        shown = self._shown(self.task.train)
        if shown is None:
            raise Incompatible("it looks at images of the task, and there are none but test images")
        return shown

    def _shown(self, examples: Examples) -> TestSet | None:
        return TestSet("base", examples, self.task.classes, self.task.template) if len(examples) else None


OLD_BACKBONE = "the old backbone"
"""What a repair keeps that runs both backbones."""
SHARES = tuple(i / 10 for i in range(11))


def mixed(case: Case, first: Scorer, second: Scorer) -> Repaired:
    """The mean of two scorers' probabilities. The weight is the one with the smallest log loss on held-out images, or one
    half if the data set has none."""
    held_out = case.held_out
    if held_out is None:
        return Repaired(mixture([(0.5, first), (0.5, second)]), notes={"share": 0.5, "chosen": "no held-out images"})
    labels = torch.tensor(held_out.examples.labels)
    one, other = first(held_out), second(held_out)
    assert one is not None
    assert other is not None
    one, other = one.softmax(1), other.softmax(1)
    losses = [float(F.nll_loss(((1 - share) * one + share * other).clamp_min(1e-12).log(), labels)) for share in SHARES]
    best = min(zip(losses, SHARES, strict=True))[1]
    scorer = mixture([(1 - best, first), (best, second)])
    return Repaired(scorer, images=len(labels), labels=len(labels), notes={"share": best})


@dataclass(frozen=True)
class Repaired:
    """What a repair made, and what it needed."""

    scorer: Scorer
    tensors: Mapping[str, torch.Tensor] | None = None
    """Those of the repaired module, if that is what it is: they can be attached to the new backbone by themselves."""
    images: int = 0
    """Images of the task that had to go through the new backbone before it could be used."""
    labels: int = 0
    """Of these, how many with their labels."""
    steps: int = 0
    notes: Mapping[str, Any] = field(default_factory=dict)


class Repair(ABC):
    """A way to make use of a module."""

    name: str
    title: str
    effort: ClassVar[int]
    """Place in lists, cheapest first."""
    keeps: str = ""
    """What stays in use besides the new backbone and the module."""
    control: bool = False
    """Whether it is a control: it shows what another repair achieves without the module."""
    slow: bool = False
    """Whether it takes seconds for each module, so that it is tried only where it is asked for."""
    trusted: bool = False
    """Whether it was the best of its kind in docs/repairs.md, so that it represents it where no held-out images decide."""
    version: int = 1
    """Raise when a change alters results."""
    steps: int = 0
    """Gradient steps that it takes where they are as many as a training's; the same from scratch are shown beside them."""

    @classmethod
    def instances(cls) -> list[Repair]:
        """The repairs of this kind; several if it has a setting that is tried at several values."""
        return [cls()]

    def applies_to(self, cls: type[Method]) -> bool:
        """Whether it may be applied to modules of a method; a run leaves out the others."""
        return True

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


def choose_repairs(names: Sequence[str], where: str = "") -> tuple[Repair, ...]:
    """The repairs of some names or globs, or of "all" or "none", cheapest first.

    Raises:
        UserError: there is no such repair. ``where`` comes before its name in the message.
    """
    if tuple(names) == ("none",):
        return ()
    known = [repair.name for repair in all_repairs()]
    for pattern in names:
        if not any(matches(name, pattern) for name in known):
            raise UserError(f"{where}{pattern}: no such repair", fix=f"{did_you_mean(pattern, known)}; or all, or none")
    return tuple(repair for repair in all_repairs() if any(matches(repair.name, pattern) for pattern in names))
