"""The state of a training in a file, so that another process goes on with it: after a preemption, the end of a walltime or a
lost machine."""

from __future__ import annotations

import io
import pickle
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from benchmark.config.files import write_atomically

EVERY = 300.0
"""Seconds between two checkpoints; a training that takes less has none."""


@dataclass
class Checkpoint:
    """Where a training leaves its state every few minutes."""

    file: Path
    owner: str
    """What the state is good for: that of another owner is not used."""
    every: float = EVERY
    _last: float = field(default_factory=time.monotonic)

    def load(self) -> dict[str, Any] | None:
        """The latest state, on the CPU; None if there is none that can be used."""
        try:
            content = torch.load(self.file, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError):
            return None
        return content["state"] if isinstance(content, dict) and content.get("owner") == self.owner else None

    @property
    def is_due(self) -> bool:
        """Whether it is time for the next one."""
        return time.monotonic() - self._last >= self.every

    def save(self, state: dict[str, Any]) -> None:
        """Replace the state: tensors, numbers and texts.

        Raises:
            UserError: the disk is full or the folder cannot be written.
        """
        buffer = io.BytesIO()
        torch.save({"owner": self.owner, "state": state}, buffer)
        write_atomically(self.file, buffer.getvalue())
        self._last = time.monotonic()

    def discard(self) -> None:
        """Remove the file: the training is over."""
        self.file.unlink(missing_ok=True)
