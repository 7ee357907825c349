"""What a method is given: a class list, batches of examples and the few training images."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class ClassList:
    """The classes of a task in label order, and the sentence that names one of them."""

    names: tuple[str, ...]
    template: str = "a photo of a {}."
    context_words: str = "a photo of a"
    """Words of a hand-written prompt before the class name; learnt context may start at their embeddings."""
    ensemble: tuple[str, ...] = ()
    """More templates, for methods whose official code averages over several; may be empty."""

    def __post_init__(self) -> None:
        if not self.names or any(not name.strip() for name in self.names):
            raise ValueError("a class list needs at least one name, and no name may be empty")

    @property
    def readable(self) -> tuple[str, ...]:
        """Names as they appear in a sentence, with spaces instead of underscores."""
        return tuple(name.replace("_", " ") for name in self.names)

    @property
    def closing(self) -> str:
        """What a learnt prompt puts after the name: a full stop if the template ends in one, as in the papers' data sets.
        A tower that was trained without full stops degrades if there is one."""
        return "." if self.template.endswith(".") else ""

    def first_words(self, chosen: str | None) -> str:
        """Words at whose embeddings learnt context starts: those of a configuration, or the data set's own if None."""
        return self.context_words if chosen is None else chosen

    @property
    def templates(self) -> tuple[str, ...]:
        """The ensemble and the data set's own template, without duplicates."""
        return tuple(dict.fromkeys((*self.ensemble, self.template)))

    def texts(self, template: str | None = None) -> list[str]:
        """The template filled in for every class."""
        return [(template or self.template).format(name) for name in self.readable]


@dataclass(frozen=True)
class Batch:
    """Training or test examples on the backbone's device. Holds features or pixels, whichever the method needs."""

    labels: torch.Tensor
    """(B,) int64, indices into the class list."""
    features: torch.Tensor | None = None
    """(B, d) un-normalised image features of the frozen backbone."""
    pixels: torch.Tensor | None = None
    """(B, 3, H, W), preprocessed for the backbone."""

    def __len__(self) -> int:
        return len(self.labels)

    def split(self, size: int) -> list[Batch]:
        """Parts of at most ``size`` examples."""
        if size >= len(self):
            return [self]
        features = self.features.split(size) if self.features is not None else itertools.repeat(None)
        pixels = self.pixels.split(size) if self.pixels is not None else itertools.repeat(None)
        return [Batch(*part) for part in zip(self.labels.split(size), features, pixels, strict=False)]


@dataclass(frozen=True)
class FewShots:
    """A task's few training images on the current backbone."""

    labels: torch.Tensor
    """(N,) int64."""
    encode: Callable[[int], torch.Tensor]
    """Maps V to un-normalised features (V, N, d) of V augmented views of each image; of the plain images if V is 1."""
