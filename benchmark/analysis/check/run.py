"""From a module, two backbones and images to a result."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmark.analysis.check.options import Inquiry, measured
from benchmark.analysis.check.result import CheckResult
from benchmark.analysis.repair_base import Case, Repair, all_repairs, choose_repairs
from benchmark.backbones.clip import Backbone
from benchmark.backbones.precision import Precision
from benchmark.config.schema import FolderSpec
from benchmark.config.validation import check
from benchmark.data.coop.user_folder import user_folder
from benchmark.data.dataset import Dataset, Splits, TestSet
from benchmark.data.features import FeatureStore
from benchmark.data.task import FEW_SHOT, Task, TaskId, make_task, only, test_task
from benchmark.method.base import MethodConfig
from benchmark.method.passage import Passage
from benchmark.method.terms import Incompatible
from benchmark.training.evaluation import columns_of
from benchmark.training.modules import Module

BUDGET = 120.0
"""Seconds that retraining may take unless the user asks for it."""
ADAPTED = (0.2, 0.2)
"""Shares of each class of a folder without a split that are for training and held out."""
REPAIR_BUDGET = 60.0
"""Seconds after which no further repair is tried, unless the user names repairs."""
SEED = 1
"""Of the few-shot draw and of training."""


@dataclass(frozen=True, eq=False)
class Question:
    """What a user asks."""

    module: Module
    old: Backbone
    new: Backbone
    task: Task
    labelled: bool = True
    retraining: MethodConfig | None = None
    """Settings of retraining; those of the module if None."""
    repairs: Sequence[Repair] = ()
    budget: float = BUDGET
    """Seconds that retraining may take."""
    repair_budget: float = math.inf
    """Seconds after which no further repair is tried."""
    precision: Precision = "fp32"
    about: Mapping[str, Any] = field(default_factory=dict)
    """More for ``CheckResult.about``, by its keys."""


def ask(question: Question, features: FeatureStore, on_option: Callable[[str], None] = lambda label: None) -> CheckResult:
    """Measure every option and decide.

    Args:
        question: What is asked.
        features: Where pixels and features come from.
        on_option: Told the label of each option before it is measured.

    Raises:
        Incompatible: the module fits neither backbone, so that there is nothing to check.
    """
    old, new = question.old, question.new
    passage = Passage(lambda: old, new)
    case = Case(question.module, old, new, question.task, features, passage, question.precision)
    retraining = question.retraining or question.module.config
    inquiry = Inquiry(case, retraining, question.repairs, question.budget, question.repair_budget)
    options = measured(inquiry, on_option)
    about = {**_about(question, _relatedness(passage)), **question.about}
    return CheckResult(about, tuple(options), inquiry.test, question.labelled)


def repairs_to_try(names: Sequence[str] | None, where: str = "") -> tuple[Repair, ...]:
    """Those of some names, see ``choose_repairs``; those that take no training if ``names`` is None.

    Raises:
        UserError: there is no such repair.
    """
    if names is None:
        return tuple(repair for repair in all_repairs() if not repair.slow and not repair.steps)
    return choose_repairs(names, where)


def own_images(path: Path, template: str | None = None) -> Dataset:
    """A user's folder or CSV. Where it has no split, a fifth of each class is for training, a fifth is held out, and the
    rest is for testing.

    Raises:
        UserError: the template has no place for the class name.
    """
    given = {"path": str(path.resolve())} | ({"template": template} if template else {})
    return user_folder(path.stem or "folder", check(FolderSpec, given, where="template"), ADAPTED)()


def task_of(dataset: Dataset, splits: Splits, module: Module) -> tuple[Task, list[str]]:
    """The task of a data set with all its classes, and what a user should know about it. A module that can score only the
    classes that it was trained on is tested on these, if the data set has them."""
    if splits.train is None:
        whole = test_task(dataset, splits)
        task = replace(whole, tests=whole.tests[:1])
    else:
        task = make_task(dataset, splits, TaskId(dataset.name, FEW_SHOT, dataset.shots, SEED))
    warnings = list(splits.warnings)
    own, names = module.classes, task.classes
    if module.cls.info.class_bound and own and len(own) < len(names):
        labels = columns_of(own, names)
        if labels is not None:
            warnings.append(f"the module scores {len(own)} of the {len(names)} classes, and is tested on these")
            (test,) = task.tests
            tests = (TestSet(test.part, only(test.examples, labels), own, test.template),)
            task = replace(task, classes=own, train=only(task.train, labels), val=only(task.val, labels), tests=tests)
    return task, warnings


def _relatedness(passage: Passage) -> float | None:
    try:
        return passage.relatedness
    except Incompatible:
        return None


def _backbone(backbone: Backbone) -> dict[str, Any]:
    """What is kept of a backbone; towers of SigLIP's training have a bias of the logits."""
    return {"name": backbone.name, "digest": backbone.digest, "siglip": backbone.logit_bias is not None}


def _about(question: Question, relatedness: float | None) -> dict[str, Any]:
    module, task = question.module, question.task
    tensors = hashlib.sha256()
    for name, value in sorted(module.tensors.items()):
        tensors.update(name.encode() + value.contiguous().numpy().tobytes())
    return {
        "module": {
            "method": module.cls.info.name,
            "title": module.cls.info.title,
            "settings": module.config.model_dump(mode="json"),
            "classes": list(module.classes),
            "tensors_sha256": tensors.hexdigest(),
            "numbers": sum(value.numel() for value in module.tensors.values()),
        },
        "old": _backbone(question.old),
        "new": _backbone(question.new),
        "relatedness": relatedness,
        "data": {
            "name": task.id.dataset,
            "classes": list(task.tests[0].classes),
            "template": task.template,
            "context_words": task.context_words,
            "test_images": len(task.tests[0].examples),
            "training_images": len(task.train),
            "held_out_images": len(task.val),
            "note": task.note,
            "labelled": question.labelled,
        },
        "warnings": [],
    }
