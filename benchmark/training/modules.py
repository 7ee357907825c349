"""What a module goes through: it is trained on one backbone, attached to any, and evaluated there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from benchmark.backbones.clip import Backbone
from benchmark.backbones.precision import Precision
from benchmark.data.batch import ClassList, FewShots
from benchmark.data.dataset import Examples, TestSet
from benchmark.data.features import FeatureStore
from benchmark.data.task import Task
from benchmark.method.base import Method, MethodConfig
from benchmark.method.passage import Passage
from benchmark.method.terms import Incompatible
from benchmark.training.checkpoint import Checkpoint
from benchmark.training.evaluation import Predictions, columns_of, scores
from benchmark.training.loop import TrainLog, derive_seed, few_shots, fit
from benchmark.training.scoring import Scorer, predictions_of


@dataclass(frozen=True, eq=False)
class Module:
    """What a method has learnt, and all that is needed to attach it again."""

    cls: type[Method]
    config: MethodConfig
    tensors: Mapping[str, torch.Tensor]
    classes: tuple[str, ...] = ()
    """The classes that it was trained on; empty if they are not known."""


def build_method(cls: type[Method], config: MethodConfig, backbone: Backbone, task: Task, features: FeatureStore) -> Method:
    """A method before training, with the initial values that belong to the task's seed."""
    torch.manual_seed(derive_seed("init", task.id.seed))
    return cls(config, backbone, task.class_list(), few_shots(config, backbone, task, features))


def train_module(
    cls: type[Method],
    config: MethodConfig,
    backbone: Backbone,
    task: Task,
    features: FeatureStore,
    *,
    precision: Precision = "fp32",
    start: Mapping[str, torch.Tensor] | None = None,
    checkpoint: Checkpoint | None = None,
) -> tuple[Method, TrainLog]:
    """Train a method on a task; the returned method is in eval mode with its last iterate.

    Args:
        cls: The method.
        config: Its hyper-parameters.
        backbone: Frozen, and unchanged afterwards.
        task: Whose training images, classes and seed are used.
        features: Where pixels and features come from.
        precision: Of the forward pass.
        start: Learnt tensors to start from instead of initial values (warm start).
        checkpoint: Where the training leaves its state, and goes on from.

    Raises:
        Incompatible: the method does not work on the backbone, or ``start`` does not fit.
        Diverged: the loss or a tensor is not finite.
        torch.OutOfMemoryError: the device is full.
    """
    require_compatible(cls, config, backbone)
    method = build_method(cls, config, backbone, task, features)
    if start is not None:
        method.load(dict(start))
    return method, fit(method, task, features, precision=precision, checkpoint=checkpoint)


def attach(
    cls: type[Method],
    config: Any,
    backbone: Backbone,
    classes: ClassList,
    tensors: Mapping[str, torch.Tensor],
    few_shots: FewShots | None = None,
) -> Method:
    """Bind a module to a backbone and a class list: build everything that is derived, then load what was learnt.

    Raises:
        Incompatible: the module does not fit.
    """
    method = cls(config, backbone, classes, few_shots)
    method.load(dict(tensors))
    return method.eval()  # type: ignore[return-value]


def carried(module: Module, passage: Passage) -> Module:
    """A module as the backbone at the end of a passage takes it.

    Raises:
        Incompatible: it cannot be carried there.
    """
    return replace(module, tensors=module.cls.carry(module.config, module.tensors, passage))


def require_compatible(cls: type[Method], config: MethodConfig, backbone: Backbone) -> None:
    """Check that a method works on a backbone.

    Raises:
        Incompatible: it does not.
    """
    reason = cls.incompatibility(config, backbone)
    if reason:
        raise Incompatible(f"{reason} on {backbone.name}")


def scorer_of(
    module: Module,
    backbone: Backbone,
    task: Task,
    features: FeatureStore,
    *,
    precision: Precision = "fp32",
    passage: Passage | None = None,
) -> Scorer:
    """What scores test sets with a module on a backbone; see ``evaluate_module``.

    Raises:
        Incompatible: the module does not fit; it may also be raised when a test set is scored.
    """
    require_compatible(module.cls, module.config, backbone)
    module = carried(module, passage) if passage else module
    keeps_images = module.cls.info.keeps_images and len(task.train) > 0
    shown = few_shots(module.config, backbone, task, features) if keeps_images else None

    def score(test: TestSet) -> torch.Tensor | None:
        classes, columns = _classes_to_score(module, task, test)
        if classes is None:
            return None
        try:
            method = attach(module.cls, module.config, backbone, classes, module.tensors, shown)
        except Incompatible:
            if module.cls.info.class_bound and not module.classes:
                return None  # the number of classes is all that is known of them
            raise
        return all_scores(method, test.examples, features, precision, columns)

    return score


def evaluate_module(
    module: Module,
    backbone: Backbone,
    task: Task,
    features: FeatureStore,
    *,
    precision: Precision = "fp32",
    passage: Passage | None = None,
) -> dict[str, Predictions]:
    """Predictions of a module on every test set of a task, by the test set's key.

    A module that is bound to its training classes is left out of test sets with other classes.

    Args:
        module: What was learnt, on this backbone or another.
        backbone: The one to test on.
        task: Whose test sets are used; its training images too if the method keeps images.
        features: Where pixels and features come from.
        precision: Of the forward pass.
        passage: From the backbone that the module was trained on to this one; None if it is the same.

    Raises:
        Incompatible: the module does not fit.
        Diverged: a score is not finite.
    """
    return predictions_of(task, scorer_of(module, backbone, task, features, precision=precision, passage=passage))


@dataclass(frozen=True)
class Comparison:
    """A module and zero-shot CLIP on one backbone: predictions by the key of the test set."""

    zero_shot: dict[str, Predictions]
    module: dict[str, Predictions] = field(default_factory=dict)
    reason: str = ""
    """Why the module has no predictions; empty if it has some."""


def compare_to_zero_shot(
    module: Module, backbone: Backbone, task: Task, features: FeatureStore, passage: Passage | None = None
) -> Comparison:
    """Evaluate a backbone with and without a module on every test set of a task; a module that does not fit has a reason
    instead of predictions. ``passage`` is as in ``evaluate_module``.

    Raises:
        Diverged: a score is not finite.
    """
    zero_shot = evaluate_module(Module(Method, MethodConfig(), {}), backbone, task, features)
    try:
        predictions = evaluate_module(module, backbone, task, features, passage=passage)
    except Incompatible as error:
        return Comparison(zero_shot, reason=str(error))
    reason = "" if predictions else "it only scores its training classes, and these are others"
    return Comparison(zero_shot, predictions, reason)


def zero_shot_of(backbone: Backbone, classes: ClassList) -> Method:
    """A backbone without a module."""
    return Method(MethodConfig(), backbone, classes).eval()  # type: ignore[return-value]


def all_scores(
    method: Method,
    examples: Examples,
    features: FeatureStore,
    precision: Precision = "fp32",
    columns: Sequence[int] | None = None,
) -> torch.Tensor:
    """Scores (N, C) of plain images, on the CPU; of the classes at ``columns`` if given.

    Raises:
        Diverged: a score is not finite.
    """
    bank = features.testing(method.backbone, examples, pixels=method.needs_pixels)
    return torch.cat([logits.cpu() for logits in scores(method, bank, precision, columns)])


def _classes_to_score(module: Module, task: Task, test: TestSet) -> tuple[ClassList | None, list[int] | None]:
    """The classes to attach a module with, and the columns of its scores that belong to a test set; (None, None)
    if the module cannot score these classes."""
    if not module.cls.info.class_bound:
        return task.class_list(test), None
    if not module.classes:
        return (None, None) if test.part == "new" else (task.class_list(test), None)
    columns = columns_of(test.classes, module.classes)
    if columns is None:
        return None, None
    template = task.class_list(test)
    return ClassList(module.classes, template.template, template.context_words, template.ensemble), columns
