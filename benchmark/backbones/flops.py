"""Floating-point operations of towers, counted on the architecture alone: no weights are needed, and nothing is computed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmark.config.schema import BackboneSpec


@dataclass(frozen=True)
class TowerFlops:
    """Operations of a forward pass; a multiplication with its addition is two."""

    image: float
    """Of one image."""
    token: float
    """Of one token of a prompt."""


def count(model: Any) -> TowerFlops:
    """The operations of an open_clip model on any device, "meta" among them."""
    device = next(model.parameters()).device
    size = model.visual.image_size
    height, width = (size, size) if isinstance(size, int) else size
    length = int(model.context_length)
    with torch.no_grad():
        image = _operations(lambda: model.encode_image(torch.zeros(1, 3, height, width, device=device)))
        text = _operations(lambda: model.encode_text(torch.zeros(1, length, dtype=torch.long, device=device)))
    return TowerFlops(image, text / length)


def of_backbone(spec: BackboneSpec, model: Any) -> TowerFlops | None:
    """The operations of a loaded backbone, by its architecture where open_clip knows it; None if they cannot be counted."""
    try:
        return of_architecture(spec) or count(model)
    except (AttributeError, TypeError, ValueError, RuntimeError, NotImplementedError):  # a model of another make
        return None


@lru_cache(maxsize=32)
def of_architecture(spec: BackboneSpec) -> TowerFlops | None:
    """The operations of a backbone whose weights need not be there; None if open_clip does not know its architecture by
    name, or it does something that needs numbers."""
    import open_clip  # takes seconds

    if spec.model not in open_clip.list_models():
        return None
    quiet = logging.getLogger().level
    logging.getLogger().setLevel(logging.ERROR)  # open_clip warns of every model without weights
    try:
        with torch.device("meta"):  # nothing is initialised
            model = open_clip.create_model(spec.model, pretrained=None, pretrained_image=False, device="meta")
        return count(model.requires_grad_(False).eval())
    except (RuntimeError, NotImplementedError, AssertionError, ValueError):
        return None
    finally:
        logging.getLogger().setLevel(quiet)


def _operations(work: Callable[[], object]) -> float:
    with FlopCounterMode(display=False) as counter:
        work()
    return float(counter.get_total_flops())
