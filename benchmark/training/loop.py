"""The training loop that all methods share, on CPU and GPU alike."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch import nn

from benchmark.backbones.clip import Backbone
from benchmark.backbones.precision import Precision
from benchmark.data.batch import FewShots
from benchmark.data.features import Bank, FeatureStore, Stream
from benchmark.data.task import Task
from benchmark.method.base import CACHED_VIEWS, Method, MethodConfig
from benchmark.training.checkpoint import Checkpoint
from benchmark.training.replay import Gradients, random_state, set_random_state

CHECKED = 16
"""Steps whose losses are looked at together."""


class Diverged(Exception):
    """The loss or a learnt tensor became NaN or infinite."""


@dataclass(frozen=True)
class TrainLog:
    """What a training run did: nothing, if there is nothing to learn."""

    steps: int = 0
    seconds: float = 0.0
    first_loss: float = math.nan
    last_loss: float = math.nan
    skipped: int = 0
    """Steps that fp16 left out because a gradient overflowed."""
    micro_batch: int | None = None
    """Examples that were computed at once, where a whole batch did not fit into memory."""
    earlier_seconds: float = 0.0
    """Those of ``seconds`` that an earlier process spent, whose checkpoint this training went on from."""
    replayed: bool = False
    """Whether the steps came from a CUDA graph."""


def total_steps(config: MethodConfig, examples: int, shots: int) -> tuple[int, int]:
    """(steps in all, steps per epoch)."""
    per_epoch = max(1, examples // config.batch_size if config.drop_last else -(-examples // config.batch_size))
    if config.steps is not None:
        return config.steps, per_epoch
    return (config.steps_per_shot * shots if config.steps_per_shot else config.epochs * per_epoch), per_epoch


def learning_rate(config: MethodConfig, step: int, steps: int, per_epoch: int) -> float:
    """Rate of a step: a constant warm-up, then a cosine that restarts at the full rate where the warm-up ends.

    With ``anneal: epoch`` epoch e >= W of E has ``lr (1 + cos(pi (e - W) / E)) / 2``, as Dassl's scheduler computes it;
    with ``anneal: step`` the cosine ends at ``min_lr`` after the last step.
    """
    epoch = step // per_epoch
    if epoch < config.warmup_epochs and steps > config.warmup_epochs * per_epoch:
        return config.warmup_lr
    if config.anneal == "epoch":
        progress = (epoch - config.warmup_epochs) / max(1, -(-steps // per_epoch))
    else:
        progress = (step - config.warmup_epochs * per_epoch) / max(1, steps)
    return config.min_lr + (config.lr - config.min_lr) * 0.5 * (1 + math.cos(math.pi * max(0.0, progress)))


def derive_seed(*parts: object) -> int:
    """A seed that depends on all of ``parts`` and on nothing else."""
    return int(hashlib.sha256(repr(parts).encode()).hexdigest()[:8], 16)


def make_optimizer(config: MethodConfig, method: Method) -> torch.optim.Optimizer:
    """SGD, Adam (weight decay in the gradient) or AdamW over everything that the method learns by gradient."""
    learnt = learnt_by_gradient(method)
    if config.optimizer == "sgd":
        return torch.optim.SGD(learnt, lr=config.lr, momentum=config.momentum, weight_decay=config.weight_decay)
    kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
    return kind(learnt, lr=config.lr, eps=config.eps, weight_decay=config.weight_decay, fused=True)


def learnt_by_gradient(method: Method) -> list[nn.Parameter]:
    """Parameters that the optimiser moves; others are set when the method solves for them."""
    return [parameter for parameter in method.parameters() if parameter.requires_grad]


def few_shots(config: MethodConfig, backbone: Backbone, task: Task, store: FeatureStore) -> FewShots:
    """A task's training images, for methods that use them in addition to the batches; encoded when first asked for."""
    augmentation = task.augmentation.cropped(config.crop)

    def encode(views: int) -> torch.Tensor:
        return store.training(backbone, task.train, augmentation, views, pixels=False).views.clone()  # others share them

    return FewShots(torch.tensor(task.train.labels, dtype=torch.long, device=backbone.device), encode)


def fit(
    method: Method,
    task: Task,
    store: FeatureStore,
    *,
    precision: Precision = "fp32",
    checkpoint: Checkpoint | None = None,
) -> TrainLog:
    """Let a method learn all that it learns from a task: gradient steps, then what it solves for. With a ``checkpoint``
    the steps go on where an earlier process left them.

    Raises:
        Diverged: the loss or a tensor is not finite.
        torch.OutOfMemoryError: the device is full.
    """
    backbone, log = method.backbone, TrainLog()
    if learnt_by_gradient(method):
        bank = training_images(method, task, store)
        log = train(method, bank, shots=task.shots, seed=task.id.seed, precision=precision, checkpoint=checkpoint)
    if type(method).solve is not Method.solve:
        plain = store.testing(backbone, task.train, pixels=method.needs_pixels).all()
        held_out = store.testing(backbone, task.val, pixels=method.needs_pixels).all() if len(task.val) else None
        method.solve(plain, held_out)
        _check_finite(method, "solving for it")
    method.eval()
    return log


def views_of(config: MethodConfig, *, pixels: bool) -> int | None:
    """How many views of a training image are made; None for a new one in every epoch."""
    if config.views == "auto":
        return None if pixels else CACHED_VIEWS
    return None if config.views == "fresh" else config.views


def training_images(method: Method, task: Task, store: FeatureStore) -> Bank | Stream:
    """What a method is trained on: as many views of the training images as its configuration asks for."""
    config, pixels = method.config, method.needs_pixels
    how, views = task.augmentation.cropped(config.crop), views_of(config, pixels=pixels)
    if views is not None:
        return store.training(method.backbone, task.train, how, views, pixels=pixels)
    steps, per_epoch = total_steps(config, len(task.train), task.shots)
    epochs = -(-steps // per_epoch)
    if pixels:
        return store.fresh(method.backbone, task.train, how, epochs)
    return store.training(method.backbone, task.train, how, epochs, pixels=False, fresh=True)


def _check_finite(method: Method, what: str) -> None:
    for name, value in method.named_parameters():
        if not torch.isfinite(value).all():
            raise Diverged(f"{name} is not finite after {what}")


def train(
    method: Method,
    bank: Bank | Stream,
    *,
    shots: int,
    seed: int,
    precision: Precision = "fp32",
    on_step: Callable[[int, int], None] | None = None,
    checkpoint: Checkpoint | None = None,
) -> TrainLog:
    """Train ``method`` on ``bank`` and leave it in eval mode with its last iterate.

    Args:
        method: Freshly built, or to be trained on.
        bank: The training images.
        shots: Of each class, for methods whose number of steps depends on them.
        seed: Of the order of the images, and of dropout.
        precision: Of the towers; learnt tensors, features, logits and losses are fp32.
        on_step: Called after each step with its number, from 1, and the number of steps.
        checkpoint: Where the state is left now and then. If there is one, training goes on from it, to the same result.

    Raises:
        Diverged: the loss or a tensor is not finite, or every gradient overflowed in fp16.
        torch.OutOfMemoryError: the device is full.
    """
    config: MethodConfig = method.config
    start = time.perf_counter()
    steps, per_epoch = total_steps(config, len(bank), shots)
    if not learnt_by_gradient(method):
        steps = 0
    torch.manual_seed(derive_seed("noise", seed))  # dropout and the like
    if not steps:
        return _finished(method, TrainLog(seconds=time.perf_counter() - start))
    optimizer = make_optimizer(config, method)
    scaler = torch.amp.GradScaler(method.backbone.device.type, enabled=precision == "fp16")
    state = _State(method, optimizer, scaler, Losses(steps))
    if checkpoint and (content := checkpoint.load()):
        state.restore(content)
    gradients = Gradients(method, scaler, precision, steps=steps - state.step)
    method.train()
    for batch in bank.batches(islice(visits(config, bank, steps, per_epoch, seed), state.step, None)):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(config, state.step, steps, per_epoch)
        state.losses.add(gradients(batch))
        state.skipped += _move(gradients.learnt, optimizer, scaler, config.grad_clip)
        state.step += 1
        method.after_step(state.step, steps, per_epoch)
        if checkpoint and checkpoint.is_due and state.step < steps:
            checkpoint.save(state.content(time.perf_counter() - start))
        if on_step:
            on_step(state.step, steps)
    if state.skipped == steps:
        raise Diverged(f"a gradient overflowed in {precision} in each of {steps} steps: nothing was learnt")
    return _finished(method, state.log(time.perf_counter() - start, gradients))


@dataclass
class _State:
    """All that changes while a method is trained."""

    method: Method
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    losses: Losses
    step: int = 0
    """Steps that are done."""
    skipped: int = 0
    earlier_seconds: float = 0.0

    def content(self, seconds: float) -> dict[str, Any]:
        """Plain data to go on from, after so many seconds of this process."""
        self.losses.look()
        return {
            "learnt": {name: value.detach() for name, value in self.method.named_parameters()},
            "method": self.method.training_state(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "random": random_state(self.method.backbone.device),
            "losses": (self.losses.first, self.losses.last),
            "step": self.step,
            "skipped": self.skipped,
            "seconds": self.earlier_seconds + seconds,
        }

    def restore(self, content: Mapping[str, Any]) -> None:
        """Go on from what ``content`` gave."""
        self.method.load(content["learnt"])
        self.method.restore_training(content["method"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.scaler.load_state_dict(content["scaler"])
        set_random_state(self.method.backbone.device, content["random"])
        self.step, self.skipped, self.earlier_seconds = content["step"], content["skipped"], content["seconds"]
        self.losses.seen, (self.losses.first, self.losses.last) = self.step, content["losses"]

    def log(self, seconds: float, gradients: Gradients) -> TrainLog:
        """What was done, the last ``seconds`` of it in this process."""
        return TrainLog(
            self.step,
            self.earlier_seconds + seconds,
            self.losses.first,
            self.losses.last,
            self.skipped,
            gradients.part,
            self.earlier_seconds,
            gradients.replayed,
        )


class Losses:
    """The losses of a training, which are looked at a few at a time: a look makes the host wait for the device."""

    def __init__(self, steps: int) -> None:
        self.steps, self.seen = steps, 0
        self.first = self.last = math.nan
        self._new: list[torch.Tensor] = []

    def add(self, loss: torch.Tensor) -> None:
        """Add the next one.

        Raises:
            Diverged: one is not finite.
        """
        self._new.append(loss)
        if len(self._new) >= CHECKED or self.seen + len(self._new) >= self.steps:
            self.look()

    def look(self) -> None:
        """Look at those that were added since the last look.

        Raises:
            Diverged: one is not finite.
        """
        if not self._new:
            return
        values = torch.stack(self._new).tolist()
        for step, value in enumerate(values, self.seen + 1):
            if not math.isfinite(value):
                raise Diverged(f"the loss is {value} at step {step} of {self.steps}")
        self.first, self.last = (self.first if self.seen else values[0]), values[-1]
        self.seen += len(values)
        self._new.clear()


def _move(
    learnt: list[nn.Parameter], optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler, grad_clip: float | None
) -> bool:
    """Let the optimiser take a step; says whether it was left out because a gradient overflowed in fp16."""
    scale = scaler.get_scale()
    if grad_clip is not None:
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(learnt, grad_clip)
    scaler.step(optimizer)
    scaler.update()
    return scaler.get_scale() < scale  # it is lowered after a step with an overflow, and only then


def _finished(method: Method, log: TrainLog) -> TrainLog:
    method.eval()
    _check_finite(method, f"{log.steps} steps")
    return log


def visits(
    config: MethodConfig, bank: Bank | Stream, steps: int, per_epoch: int, seed: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """(images, a view of each) of every batch of a training. Each image is drawn once per epoch, in the epoch's view if
    there is one for every epoch, else in a random one; with ``pool_views`` all views of all images are drawn from like
    images."""
    order = torch.Generator().manual_seed(derive_seed("order", seed))
    pool = len(bank) * (bank.view_count if config.pool_views else 1)
    for step in range(steps):
        epoch, place = divmod(step, per_epoch)
        if place == 0:
            shuffled = torch.randperm(pool, generator=order)
        drawn = shuffled[place * config.batch_size : (place + 1) * config.batch_size]
        if config.pool_views:
            yield drawn % len(bank), drawn // len(bank)
        elif bank.fresh:
            yield drawn, torch.full_like(drawn, epoch)
        else:
            yield drawn, torch.randint(bank.view_count, (len(drawn),), generator=order)
