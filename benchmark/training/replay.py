"""Gradients of a training step; on a GPU from a CUDA graph, because launching its kernels takes longer than running them.

A step of CoOp on ViT-B/16 launches about 1,300 kernels for 4 to 6 ms of work. ``benchmarks/steps.py`` measures it.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from benchmark.backbones.precision import Precision
from benchmark.data.batch import Batch
from benchmark.method.base import Method

LEAST = 20
"""Steps of a training that is worth a graph: capturing takes as long as about four of them."""
CLOSE = 1e-2
"""Largest distance of replayed gradients from those they take the place of, relative to their norm."""


class Gradients:
    """Puts the gradients of a batch's loss into what a method learns. A batch that does not fit into memory is computed in
    parts from then on, half as large until they fit; the gradients are those of the whole batch."""

    def __init__(self, method: Method, scaler: torch.amp.GradScaler, precision: Precision, *, steps: int) -> None:
        self.method, self.scaler, self.precision = method, scaler, precision
        self.learnt: list[nn.Parameter] = [value for value in method.parameters() if value.requires_grad]
        self._undecided = _has_graphs(method.backbone.device) and method.replayable and steps >= LEAST
        self._graph: _Graph | None = None
        self.part: int | None = None
        """Examples that are computed at once; None for all of a batch."""

    @property
    def replayed(self) -> bool:
        """Whether a graph is used."""
        return self._graph is not None

    def __call__(self, batch: Batch) -> torch.Tensor:
        """The loss, a scalar on the device."""
        if self._undecided:
            self._undecided = False
            return self._capture(batch)
        if self._graph is not None and self._graph.fits(batch):
            return self._graph.replay(batch)
        self.clear()
        return self.compute(batch)

    def clear(self) -> None:
        """Forget the gradients of the step before."""
        for value in self.learnt:
            value.grad = None

    def compute(self, batch: Batch) -> torch.Tensor:
        """The loss, by the method's own code.

        Raises:
            torch.OutOfMemoryError: a single example does not fit, or the method is not ``splittable``.
        """
        while True:
            try:
                return self._compute(batch)
            except Exception as error:
                at_once = min(self.part or len(batch), len(batch))
                if not is_out_of_memory(error) or at_once < 2 or not self.method.splittable:
                    raise
            self.part = at_once // 2  # not while the exception is handled: it holds what the step had computed
            self.clear()
            _settle(self.method.backbone.device)

    def _compute(self, batch: Batch) -> torch.Tensor:
        losses = []
        for part in batch.split(self.part or len(batch)):
            with self.method.backbone.computing_in(self.precision):  # backward too: it computes some activations again
                loss = self.method.loss(part) * (len(part) / len(batch)) if self.part else self.method.loss(part)
                self.method.backward(loss, self.scaler.scale)
            losses.append(loss.detach())
        return torch.stack(losses).sum() if self.part else losses[0]

    def _capture(self, batch: Batch) -> torch.Tensor:
        """The first step. If a graph gives the same gradients as the method's own code, it computes the others."""
        device = self.method.backbone.device
        random = random_state(device)
        self.clear()
        loss = self.compute(batch)
        expected = [value.grad for value in self.learnt]
        if not torch.isfinite(loss):
            return loss
        part = self.part
        try:
            graph = _Graph(self, batch)
            set_random_state(device, random)  # capturing must not move on what is drawn
            its_loss = graph.replay(batch)
            if _alike(its_loss, loss) and all(map(_alike, graph.gradients, expected)):
                self._graph = graph
                return its_loss
        except Exception:  # the step does what a graph cannot hold, or there is no memory for both: it works without
            self.part = part
            _settle(device)
        set_random_state(device, random)
        self.clear()
        return self.compute(batch)


class _Graph:
    """A captured computation of gradients, from a batch at a fixed place in memory to gradients at a fixed place."""

    def __init__(self, owner: Gradients, batch: Batch) -> None:
        self.learnt = owner.learnt
        self.batch = replace(batch, **{name: value.clone() for name, value in _tensors(batch).items()})
        aside = torch.cuda.Stream(batch.labels.device)
        aside.wait_stream(torch.cuda.current_stream(batch.labels.device))
        with torch.cuda.stream(aside):  # libraries set themselves up before anything is captured
            owner.clear()
            owner.compute(self.batch)
        torch.cuda.current_stream(batch.labels.device).wait_stream(aside)
        self.graph = torch.cuda.CUDAGraph()
        owner.clear()  # so that each replay writes new gradients instead of adding to old ones
        with torch.cuda.graph(self.graph, capture_error_mode="thread_local"):
            self.loss = owner.compute(self.batch)
        self.gradients = [value.grad for value in self.learnt]

    def fits(self, batch: Batch) -> bool:
        """Whether a batch has the shapes that were captured."""
        given = _tensors(batch)
        return all(name in given and given[name].shape == value.shape for name, value in _tensors(self.batch).items())

    def replay(self, batch: Batch) -> torch.Tensor:
        """The loss of a batch; its gradients are in what is learnt."""
        given = _tensors(batch)
        for name, value in _tensors(self.batch).items():
            value.copy_(given[name])
        self.graph.replay()
        for value, gradient in zip(self.learnt, self.gradients, strict=True):
            value.grad = gradient
        return self.loss.clone()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that a device, or the machine, has no memory left."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


def _tensors(batch: Batch) -> dict[str, torch.Tensor]:
    found = {"labels": batch.labels, "features": batch.features, "pixels": batch.pixels}
    return {name: value for name, value in found.items() if value is not None}


def _alike(found: torch.Tensor | None, expected: torch.Tensor | None) -> bool:
    if found is None or expected is None:
        return found is expected
    return bool((found - expected).norm() <= CLOSE * expected.norm())


def _has_graphs(device: torch.device) -> bool:
    return device.type == "cuda"


def random_state(device: torch.device) -> torch.Tensor:
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()


def set_random_state(device: torch.device, state: torch.Tensor) -> None:
    if device.type == "cuda":
        torch.cuda.set_rng_state(state, device)
    else:
        torch.set_rng_state(state)


def _settle(device: torch.device) -> None:
    """Wait for what a failed capture left, and free its memory."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.empty_cache()
