"""Long batches in pieces (activation checkpointing): memory for one piece at a time, each computed again in the backward
pass."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.utils.checkpoint import checkpoint

ROWS = 512
"""Prompts that go through a text tower at once; more go in pieces."""


def by_rows(function: Callable[..., torch.Tensor], *rows: torch.Tensor, prompts: int = 1) -> torch.Tensor:
    """``function(*rows)``, where ``function`` treats each row by itself, a few at a time; each is ``prompts`` prompts.

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
    outputs: list[torch.Tensor] = [checkpoint(function, *piece, use_reentrant=False) for piece in pieces]  # type: ignore[misc]
    return torch.cat(outputs)
