"""Stands in for data sets whose files are not there, in a plan that is only looked at: as many classes and images, of which
none can be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from benchmark.data.dataset import Dataset, Examples, Splits


@dataclass(frozen=True)
class AbsentImages:
    """Images that are counted and cannot be read."""

    name: str
    count: int

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> NoReturn:
        raise LookupError(f"{self.name} is not there")

    def pick(self, rows: tuple[int, ...]) -> AbsentImages:
        return AbsentImages(self.name, len(rows))

    @property
    def digest(self) -> str:
        return f"{self.name}: {self.count} absent images"


def outline(dataset: Dataset, known: Mapping[str, Splits]) -> Splits | None:
    """The classes and images that a data set should have; None if that is not known.

    Args:
        dataset: Whose files are not there.
        known: Other data sets by name, for the classes that a shifted test set shares.
    """
    counts = dataset.counts
    if counts is None or counts.test is None:
        return None
    shared = known.get(dataset.shift_of or "")
    names = shared.classes if shared else tuple(f"class {number}" for number in range(counts.classes or 0))
    classes = names[: counts.classes or len(names)]
    if not classes:
        return None
    shots = dataset.shots if dataset.shift_of is None else 0
    train = _examples(f"{dataset.name} train", len(classes), shots * len(classes)) if shots else None
    return Splits(classes, _examples(f"{dataset.name} test", len(classes), counts.test), train)


def _examples(name: str, classes: int, count: int) -> Examples:
    """So many images, as even over the classes as can be."""
    return Examples(AbsentImages(name, count), tuple(number % classes for number in range(count)))
