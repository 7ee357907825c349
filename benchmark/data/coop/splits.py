"""The rules by which CoOp's code makes a split if there is none, with sorted listings and a fixed seed.

CoOp shuffles the files in the order in which the operating system lists them, with the seed of the run, so its splits
differ between machines; ours do not, and the record says that the split was made by rule.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from benchmark.config.errors import UserError
from benchmark.data.coop.files import list_folders, list_images
from benchmark.data.coop.layout import Item, Listing

T = TypeVar("T")

SEED = 0
"""Seed of the shuffles; the split is the same for all seeds of a run."""


def split_folders(images: Path, *, ignored: Collection[str] = (), renamed: Mapping[str, str] | None = None) -> Listing:
    """``split_classes`` where each class has a folder; labels follow the sorted folder names."""
    renamed = renamed or {}
    items = []
    for label, folder in enumerate(name for name in list_folders(images) if name not in ignored):
        names = list_images(images / folder)
        if not names:
            raise UserError("a class without images", where=str(images / folder), fix="unpack the data set again")
        items += [Item(f"{folder}/{name}", label, renamed.get(folder, folder)) for name in names]
    if not items:
        raise UserError("no folder with images", where=str(images), fix="unpack the data set again")
    return split_classes(items)


SHARES = (0.5, 0.2)
"""Of each class: for training, and for validation; the rest is for testing."""


def split_classes(items: Iterable[Item], shares: tuple[float, float] = SHARES) -> Listing:
    """Each class in three parts, the first two of ``shares`` of it, rounded."""
    train: list[Item] = []
    val: list[Item] = []
    test: list[Item] = []
    for members in _shuffled(items):
        for part, some in zip((train, val, test), parted(members, shares), strict=True):
            part += some
    return Listing(train, val, test, note=note_of(shares))


def parted(members: list[T], shares: tuple[float, float]) -> tuple[list[T], list[T], list[T]]:
    """One class in three parts, the first two of ``shares`` of it, rounded."""
    first, second = (round(len(members) * share) for share in shares)
    return members[:first], members[first : first + second], members[first + second :]


def note_of(shares: tuple[float, float]) -> str:
    """How such a split was made."""
    percent = "/".join(f"{100 * share:.0f}" for share in (*shares, 1 - sum(shares)))
    return f"split made by rule: {percent} % of each class"


def hold_out(items: Iterable[Item], test: Sequence[Item]) -> Listing:
    """The official test list; of the rest, 20 % of each class, rounded, are held out for validation."""
    train: list[Item] = []
    val: list[Item] = []
    for members in _shuffled(items):
        count = round(len(members) * 0.2)
        val += members[:count]
        train += members[count:]
    return Listing(train, val, test, note="official test list; 20 % of the rest held out by rule")


def _shuffled(items: Iterable[Item]) -> list[list[Item]]:
    """The items class by class in order of first appearance, each class sorted by path and then shuffled."""
    classes: dict[int, list[Item]] = defaultdict(list)
    for item in items:
        classes[item.label].append(item)
    rng = random.Random(SEED)
    for members in classes.values():
        members.sort(key=lambda item: item.path)
        rng.shuffle(members)
    return list(classes.values())


def read_lines(file: Path, parse: Callable[[str], T]) -> list[T]:
    """The results of ``parse`` for the lines of a text file that are not empty.

    Raises:
        UserError: the file cannot be read, or a line cannot be parsed.
    """
    fix = "get this file again"
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot be read: {error}", where=str(file), fix=fix) from None
    parsed = []
    for number, line in enumerate(lines, start=1):
        try:
            if line.strip():
                parsed.append(parse(line.strip()))
        except (ValueError, LookupError):
            raise UserError(f"cannot be parsed: {line!r}", where=f"{file}, line {number}", fix=fix) from None
    return parsed


def read_mat(file: Path, variable: str) -> list[Any]:
    """A vector of a MATLAB file, as a list.

    Raises:
        UserError: it cannot be read.
    """
    from scipy.io import loadmat  # slow to import

    try:
        return list(np.atleast_1d(loadmat(file, squeeze_me=True)[variable]))
    except Exception as error:  # scipy raises many kinds of errors
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"cannot be read ({reason})", where=str(file), fix="get this file again") from None
