"""The precision that the towers of a backbone compute in. Everything else is fp32: what is learnt, features and logits."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch

Precision = Literal["fp32", "bf16", "fp16"]

TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[object]:
    """A context in which matrix products on ``device`` are computed in ``precision``."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, dtype=TYPES[precision])


def widened(features: torch.Tensor) -> torch.Tensor:
    """Half-precision features as fp32; others as they are."""
    return features.float() if features.dtype in TYPES.values() else features
