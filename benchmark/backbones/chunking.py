"""Long batches in pieces (activation checkpointing): memory for one piece at a time, each computed again in the backward
pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint

ROWS = 512
"""Prompts that go through a text tower at once; more go in pieces."""


def by_rows(function: Callable[..., torch.Tensor], *rows: Any, prompts: int = 1) -> torch.Tensor:
    """``function(*rows)``, where ``function`` treats each row by itself, a few at a time; each is ``prompts`` prompts.
    ``rows`` are tensors, or what has a length and splits like one.

    With gradients, only what goes into a piece is kept and the piece is computed again in the backward pass, with the
    same random numbers; so 1,000 classes need the memory of ``ROWS``. ``function`` must bring along whatever it changes
    in the backbone (a hook, say), as it runs a second time after the caller has returned.
    """
    size = max(1, ROWS // prompts)
    if len(rows[0]) <= size:
        return function(*rows)
    pieces = list(zip(*(row.split(size) for row in rows), strict=True))
    if not torch.is_grad_enabled():
        return torch.cat([function(*piece) for piece in pieces])
    kept = not (
        torch.cuda.is_initialized() and torch.cuda.is_current_stream_capturing()
    )  # a graph has random numbers of its own
    outputs: list[torch.Tensor] = [  # type: ignore[misc]
        checkpoint(function, *piece, use_reentrant=False, preserve_rng_state=kept) for piece in pieces
    ]
    return torch.cat(outputs)
