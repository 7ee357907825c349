"""The dataset contract: what a file in ``datasets/`` declares about one set of labelled images."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np
from PIL import Image

from benchmark.config.missing import Missing


class Images(Protocol):
    """A sequence of RGB images with a digest of their content."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Image.Image: ...

    def pick(self, rows: tuple[int, ...]) -> Images:
        """The images at ``rows``."""
        ...

    @property
    def digest(self) -> str: ...


class ArrayImages:
    """Images held in memory: uint8 (N, H, W, 3)."""

    def __init__(self, pixels: np.ndarray) -> None:
        if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[-1] != 3:
            raise ValueError(f"expected uint8 (N, H, W, 3), got {pixels.dtype} {pixels.shape}")
        self.pixels = pixels

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> Image.Image:
        return Image.fromarray(self.pixels[index])

    def pick(self, rows: tuple[int, ...]) -> Subset:
        return Subset(self, rows)

    @cached_property
    def digest(self) -> str:
        return hashlib.sha256(f"{self.pixels.shape}".encode() + self.pixels.tobytes()).hexdigest()


@dataclass(frozen=True)
class Subset:
    """A selection of other images."""

    images: Images
    rows: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Image.Image:
        return self.images[self.rows[index]]

    def pick(self, rows: tuple[int, ...]) -> Subset:
        return Subset(self, rows)

    @cached_property
    def digest(self) -> str:
        return hashlib.sha256(f"{self.images.digest} {self.rows}".encode()).hexdigest()


@dataclass(frozen=True)
class Examples:
    """Images with labels and groups: images of the same drawing or photograph share a group and are not independent."""

    images: Images
    labels: tuple[int, ...]
    groups: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if len(self.images) != len(self.labels):
            raise ValueError(f"{len(self.images)} images but {len(self.labels)} labels")
        if not self.groups:
            object.__setattr__(self, "groups", tuple(range(len(self.labels))))

    def __len__(self) -> int:
        return len(self.labels)

    def pick(self, rows: Sequence[int], labels: Sequence[int] | None = None) -> Examples:
        """The examples at ``rows``, with new labels if given."""
        new_labels = tuple(labels) if labels is not None else tuple(self.labels[row] for row in rows)
        return Examples(self.images.pick(tuple(rows)), new_labels, tuple(self.groups[row] for row in rows))

    @cached_property
    def digest(self) -> str:
        return hashlib.sha256(f"{self.images.digest} {self.labels} {self.groups}".encode()).hexdigest()


@dataclass(frozen=True)
class Augmentation:
    """Random changes of a training image that keep its label valid."""

    crop: tuple[float, float] | None = (0.08, 1.0)
    """Range of the share of the area that a random resized crop keeps; None does not crop."""
    flip: bool = True
    """Whether images may be mirrored: false if a mirror image can belong to another class."""
    rotate: float = 0.0
    """Largest rotation in degrees."""

    def cropped(self, crop: tuple[float, float] | None) -> Augmentation:
        """With another range of crops, as far as this one, which keeps labels valid, allows it; unchanged if it is None or
        the two have nothing in common."""
        if crop is None or self.crop is None:
            return self
        low, high = max(crop[0], self.crop[0]), min(crop[1], self.crop[1])
        return replace(self, crop=(low, high)) if low <= high else self


@dataclass(frozen=True)
class Splits:
    """A loaded dataset. A shifted test set has a test split only."""

    classes: tuple[str, ...]
    test: Examples
    train: Examples | None = None
    val: Examples | None = None
    note: str = ""
    """A remark for the record, such as how missing splits were made."""
    warnings: tuple[str, ...] = ()
    """Problems that do not stop a run, such as a count that differs from the published one."""


@dataclass(frozen=True)
class Counts:
    """Published numbers of classes and images; None if not published."""

    classes: int | None
    train: int | None
    val: int | None
    test: int | None


class Dataset:
    """Base class: describe a dataset in class attributes and return its images from ``load``."""

    name: ClassVar[str]
    title: ClassVar[str]
    template: ClassVar[str] = "a photo of a {}."
    context_words: ClassVar[str] = "a photo of a"
    """Words of a hand-written prompt before the class name: the first value of learnt context."""
    ensemble: ClassVar[tuple[str, ...]] = ()
    """More templates, for methods whose official code averages over several."""
    licence: ClassVar[str] = ""
    source: ClassVar[str] = ""
    shows_images: ClassVar[bool] = False
    """Whether its licence lets a report contain small copies of its test images, so that the report may be passed on."""
    shots: ClassVar[int] = 16
    """Largest number of training images per class; a run that asks for more gets this many."""
    base_classes: ClassVar[int | None] = None
    """Number of base classes, which come first; None takes half of all classes, rounded up."""
    shift_of: ClassVar[str | None] = None
    """For a shifted test set: the dataset that it shares classes with and whose modules are evaluated on it."""
    augmentation: ClassVar[Augmentation] = Augmentation()
    counts: ClassVar[Counts | None] = None
    """What it should have, for a plan that is made before its files are there."""

    def __init__(self, data_root: Path | None = None) -> None:
        self.data_root = data_root
        """The folder of the data sets that are read from files; None if the user gave none."""

    def missing(self) -> Missing | None:
        """What must be installed or downloaded before ``load`` works; None if nothing."""
        return None

    def prepare(self) -> None:
        """Fetch what ``missing`` names.

        Raises:
            UserError: it cannot be fetched automatically; the message says where to get it.
        """

    def load(self) -> Splits:
        """Read the images.

        Raises:
            UserError: files are missing or broken.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class TestSet:
    """One set of test examples of a task: ``part`` is base, new or all; ``name`` is set if the images come from a
    data set other than the training set, such as a shifted test set."""

    part: str
    examples: Examples
    classes: tuple[str, ...]
    template: str
    name: str = ""

    @property
    def key(self) -> str:
        """Name within a record: ``base``, ``new``, ``all`` or the other data set's name."""
        return self.name or self.part
