"""What a method is given: a class list, batches of examples and the few training images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class ClassList:
    """The classes to tell apart, in label order, and the sentence that names one of them."""

    names: tuple[str, ...]
    template: str = "a photo of a {}."
    context_words: str = "a photo of a"
    """What a hand-written prompt puts before the name; learnt context may start there."""
    ensemble: tuple[str, ...] = ()
    """More templates, for methods whose official code averages over several; there may be none."""

    def __post_init__(self) -> None:
        if not self.names or any(not name.strip() for name in self.names):
            raise ValueError("a class list needs at least one name, and no empty one")

    @property
    def readable(self) -> tuple[str, ...]:
        """Names as a sentence would have them: underscores are spaces."""
        return tuple(name.replace("_", " ") for name in self.names)

    @property
    def closing(self) -> str:
        """What a learnt prompt puts after the name: a full stop where the template ends in one, as those of all the papers'
        data sets do. A tower that never saw one in training is put off by it."""
        return "." if self.template.endswith(".") else ""

    def first_words(self, chosen: str | None) -> str:
        """Words at whose embeddings learnt context starts: those of a configuration, or the data set's own."""
        return self.context_words if chosen is None else chosen

    @property
    def templates(self) -> tuple[str, ...]:
        """The ensemble and the own template, each once."""
        return tuple(dict.fromkeys((*self.ensemble, self.template)))

    def texts(self, template: str | None = None) -> list[str]:
        """The template filled in for every class."""
        return [(template or self.template).format(name) for name in self.readable]


@dataclass(frozen=True)
class Batch:
    """Training or test examples on the backbone's device. Whichever of features and pixels a method needs is there."""

    labels: torch.Tensor
    """(B,) int64, indices into the class list."""
    features: torch.Tensor | None = None
    """(B, d) un-normalised image features of the frozen backbone."""
    pixels: torch.Tensor | None = None
    """(B, 3, H, W), preprocessed for the backbone."""


@dataclass(frozen=True)
class FewShots:
    """A task's few training images on the backbone at hand."""

    labels: torch.Tensor
    """(N,) int64."""
    encode: Callable[[int], torch.Tensor]
    """Un-normalised features (V, N, d) of so many augmented views of each; of the plain images if V is 1."""
