"""What a loaded data set must be, whoever wrote it: checked once after ``load``, before anything is computed with it."""

from __future__ import annotations

import numbers
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, runtime_checkable

from benchmark.config.errors import UserError
from benchmark.data.dataset import Dataset, Examples, Splits


@runtime_checkable
class Checkable(Protocol):
    """Images that can be looked at without reading all of them."""

    @property
    def digest(self) -> str: ...

    def problems(self) -> list[str]:
        """Why images cannot be used, one line each."""
        ...


def checked(dataset: Dataset, splits: object) -> Splits:
    """The splits of a data set, if they can be used.

    Raises:
        UserError: they cannot; says why and names the data set.
    """
    problem = _problem(splits)
    if problem:
        raise UserError(problem, where=f"dataset {dataset.name!r}", fix="correct its files, or its load() if it is a plugin")
    assert isinstance(splits, Splits)
    return splits


def _problem(splits: object) -> str:
    """Why splits cannot be used; "" if they can."""
    if not isinstance(splits, Splits):
        return f"load() returned {type(splits).__name__}, not Splits"
    names = splits.classes
    if len(names) < 2:
        return f"{len(names)} classes; at least two are needed"
    for name in names:
        if not isinstance(name, str) or not any(letter.isalnum() for letter in name):
            return f"the class name {name!r} has neither letters nor digits, so that no prompt can name it"
    parts = {"training": splits.train, "validation": splits.val, "test": splits.test}
    for what, part in parts.items():
        if part is None and what != "test":
            continue
        if not isinstance(part, Examples):
            return f"the {what} images are {type(part).__name__}, not Examples"
        wrong = [label for label in part.labels if not isinstance(label, numbers.Integral) or not 0 <= label < len(names)]
        if wrong:
            return f"a {what} image has the label {wrong[0]!r}, and labels are 0 to {len(names) - 1}"
    if not len(splits.test):
        return "there are no test images"
    if splits.train is not None:
        absent = [name for label, name in enumerate(names) if label not in set(splits.train.labels)]
        if absent:
            return f"class {absent[0]!r} has no training image"
        if splits.train.labels == splits.test.labels and splits.train.digest == splits.test.digest:
            return "the test images are the training images"
    return ""


def same_prompts(names: Sequence[str], tokens: Sequence[Sequence[int]]) -> Iterator[str]:
    """A sentence for every group of classes that no prompt can tell apart, because their ``tokens`` are the same."""
    groups: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for name, ids in zip(names, tokens, strict=True):
        groups[tuple(ids)].append(name)
    for group in groups.values():
        if len(group) > 1:
            shown = " and ".join(map(repr, group)) if len(set(group)) > 1 else f"{len(group)} classes called {group[0]!r}"
            yield f"no prompt can tell {shown} apart: at most one of them can be recognised"


def counts(splits: Splits) -> dict[str, tuple[int, ...]]:
    """Images of each class by part: (train, val, test)."""
    found = [
        Counter(part.labels) if part is not None else Counter[int]() for part in (splits.train, splits.val, splits.test)
    ]
    return {name: tuple(part[label] for part in found) for label, name in enumerate(splits.classes)}


def unusable_images(parts: Iterable[Examples]) -> list[str]:
    """Why images cannot be used, one line each, for those that are read from files."""
    found: dict[str, None] = {}
    seen: set[str] = set()
    for part in parts:
        if isinstance(part.images, Checkable) and part.images.digest not in seen:
            seen.add(part.images.digest)
            found |= dict.fromkeys(part.images.problems())
    return list(found)
