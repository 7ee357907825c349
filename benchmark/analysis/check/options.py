"""The ways to go on with a module once there is a new backbone, each measured on the same test images."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch

from benchmark.analysis.repair_base import OLD_BACKBONE, Case, Repair
from benchmark.config.errors import UserError
from benchmark.data.dataset import TestSet
from benchmark.experiment.isolation import described
from benchmark.method.base import MethodConfig
from benchmark.method.terms import Incompatible
from benchmark.training.evaluation import Predictions
from benchmark.training.loop import Diverged, total_steps, views_of
from benchmark.training.modules import Module, build_method, scorer_of, train_module
from benchmark.training.scoring import Scorer, predictions_of

Kind = Literal["reference", "discard", "keep", "repair", "stay", "both", "retrain"]
TRIAL_STEPS = 3
"""Steps that tell how long a training takes; the first is not counted."""
BACKWARD = 3
"""Times that a training step takes of a forward pass, about."""


@dataclass(frozen=True, eq=False)
class Option:
    """A way to go on: what it predicts and what it takes, or why it could not be measured."""

    name: str
    label: str
    kind: Kind
    predictions: Predictions | None = None
    reason: str = ""
    """Why there are no predictions; empty if there are."""
    images: int = 0
    """Images of the task that had to go through the new backbone first."""
    labels: int = 0
    """Of these, how many with their labels."""
    steps: int = 0
    seconds: float = 0.0
    """On this machine, without evaluation."""
    keeps: str = ""
    """What stays in use besides the new backbone and the module."""
    failed: bool = False
    """Whether the reason is an error that should not have happened."""
    control: bool = False
    trusted: bool = False
    """As in ``Repair``."""
    held_out: float | None = None
    """Accuracy on held-out images, in per cent; None if there are none."""
    module: Module | None = None
    """What would be shipped, where that is a module for the new backbone."""

    @property
    def measured(self) -> bool:
        return self.predictions is not None

    @property
    def accuracy(self) -> float:
        """In per cent; NaN if it could not be measured."""
        return self.predictions.accuracy if self.predictions else float("nan")


@dataclass(frozen=True)
class Inquiry:
    """What is to be measured."""

    case: Case
    """Its task has one test set."""
    retraining: MethodConfig
    """Settings with which the method would be trained on the new backbone."""
    repairs: Sequence[Repair]
    budget: float
    """Seconds that retraining may take on this machine; a longer one is not tried."""
    repair_budget: float = math.inf
    """Seconds after which no further repair is tried, but for trusted ones."""

    @property
    def test(self) -> TestSet:
        return self.case.task.tests[0]


def measured(inquiry: Inquiry, on_option: Callable[[str], None]) -> list[Option]:
    """All options, in the order of a table. ``on_option`` is told the label of each before it is measured.

    Raises:
        Incompatible: the module fits neither backbone, so that there is nothing to check.
    """
    options = []
    for name, label, kind, make in _plain(inquiry):
        on_option(label)
        options.append(_option(inquiry, Option(name, label, kind), make))
    reasons = [option.reason for option in options if option.kind in ("stay", "keep")]
    if all(reasons):
        raise Incompatible(f"the module fits neither backbone: {'; '.join(reasons)}")
    options += _repairs(inquiry, on_option)
    on_option("retrain")
    return [*options, _retrained(inquiry)]


Made = tuple[Scorer, Module | None]


def _plain(inquiry: Inquiry) -> Iterator[tuple[str, str, Kind, Callable[[], Made]]]:
    case = inquiry.case
    yield "zero-shot-old", f"no module, {case.old.name}", "reference", lambda: (case.zero_shot(case.old), None)
    yield "stay", f"stay on {case.old.name}", "stay", lambda: (case.kept, None)
    yield "discard", f"no module, {case.new.name}", "discard", lambda: (case.zero_shot(case.new), None)
    yield "keep", f"keep it on {case.new.name}", "keep", lambda: (case.reused, case.carried)


def _option(inquiry: Inquiry, option: Option, make: Callable[[], Made]) -> Option:
    """An option with its predictions, or the reason why there are none."""
    start = time.perf_counter()
    try:
        scorer, module = make()
        seconds = time.perf_counter() - start
        predictions = predictions_of(inquiry.case.task, scorer).get(inquiry.test.key)
        held_out = _held_out(inquiry.case, scorer) if predictions and inquiry.repairs else None
    except (Incompatible, Diverged) as error:
        return replace(option, reason=str(error))
    except UserError as error:  # such as a text that is too long for one of the backbones
        return replace(option, reason=error.message)
    except Exception as error:  # a method or a repair may raise anything; the other options are worth having
        return replace(option, reason=f"failed: {described(error)}", failed=True)
    if predictions is None:
        return replace(option, reason="it only scores its training classes, and these are others")
    return replace(option, predictions=predictions, held_out=held_out, module=module, seconds=seconds)


def _held_out(case: Case, scorer: Scorer) -> float | None:
    shown = case.held_out
    scores = None if shown is None else scorer(shown)
    if shown is None or scores is None:
        return None
    return 100 * float((scores.argmax(1) == torch.tensor(shown.examples.labels)).float().mean())


def _repairs(inquiry: Inquiry, on_option: Callable[[str], None]) -> list[Option]:
    """The repairs in their order. The trusted ones are measured first, the others as long as there is time: each may have
    all images encoded again if the module is in the image tower."""
    start, measured = time.perf_counter(), {}
    for repair in sorted(inquiry.repairs, key=lambda repair: not repair.trusted):
        on_option(repair.title)
        if not repair.trusted and time.perf_counter() - start > inquiry.repair_budget:
            reason = f"there was no time for it; --repair {repair.name} tries it"
            measured[repair.name] = replace(_described(repair), reason=reason)
        else:
            measured[repair.name] = _repaired(inquiry, repair)
    return [measured[repair.name] for repair in inquiry.repairs]


def _described(repair: Repair) -> Option:
    kind: Kind = "both" if repair.keeps == OLD_BACKBONE else "repair"
    return Option(repair.name, repair.title, kind, keeps=repair.keeps, control=repair.control, trusted=repair.trusted)


def _repaired(inquiry: Inquiry, repair: Repair) -> Option:
    case, option = inquiry.case, _described(repair)
    reason = repair.incompatibility(case.module)
    if reason:
        return replace(option, reason=reason)
    cost: dict[str, Any] = {}

    def make() -> Made:
        made = repair.apply(case)
        cost.update(images=made.images, labels=made.labels, steps=made.steps)
        return made.scorer, None if made.tensors is None else replace(case.module, tensors=made.tensors)

    return replace(_option(inquiry, option, make), **cost)


def _retrained(inquiry: Inquiry) -> Option:
    case, option = inquiry.case, Option("retrain", "retrain", "retrain")
    images = len(case.task.train)
    if not case.module.tensors and not images:
        return replace(option, reason="there is nothing to train")
    if not images:
        return replace(option, reason="it takes labelled training images: give folders train/ and test/")
    cost: dict[str, Any] = {}

    def make() -> Made:
        seconds = _training_time(inquiry)
        if seconds > inquiry.budget:
            raise Incompatible(f"it would take about {seconds / 60:.0f} minutes here; --retrain does it all the same")
        method, log = train_module(
            case.module.cls, inquiry.retraining, case.new, case.task, case.features, precision=case.precision
        )
        cost.update(images=images, labels=images, steps=log.steps)
        module = Module(case.module.cls, inquiry.retraining, method.tensors(), case.task.classes)
        return scorer_of(module, case.new, case.task, case.features, precision=case.precision), module

    return replace(_option(inquiry, option, make), **cost)


def _training_time(inquiry: Inquiry) -> float:
    """Seconds that retraining would take, from a few steps on plain images and the time of encoding its views. Where each
    step runs the image tower, which takes long by itself, from the time of encoding an image."""
    case, config = inquiry.case, inquiry.retraining
    steps = total_steps(config, len(case.task.train), case.task.shots)[0]
    if build_method(case.module.cls, config, case.new, case.task, case.features).needs_pixels:
        return BACKWARD * steps * min(config.batch_size, len(case.task.train)) * _image_seconds(case)
    short = config.model_copy(update={"steps": TRIAL_STEPS, "views": 1, "warmup_epochs": 0})
    times = []
    for trial in (short.model_copy(update={"steps": 1}), short):
        start = time.perf_counter()
        train_module(case.module.cls, trial, case.new, case.task, case.features, precision=case.precision)
        times.append(time.perf_counter() - start)
    views = views_of(config, pixels=False) or -(-steps // max(1, len(case.task.train) // config.batch_size))
    encoding = _image_seconds(case) * views * len(case.task.train)
    return times[0] + steps * max(0.0, times[1] - times[0]) / (TRIAL_STEPS - 1) + encoding


def _image_seconds(case: Case) -> float:
    """Seconds of encoding one image, with reading it."""
    few = case.task.train.pick(range(min(8, len(case.task.train))))
    start = time.perf_counter()
    pixels = case.new.normalise(torch.stack([case.new.frame(few.images[row]) for row in range(len(few))]))
    with torch.no_grad(), case.new.computing_in(case.precision):
        case.new.encode_image(pixels)
    return (time.perf_counter() - start) / len(few)
