"""The rules by which CoOp's code makes a split where there is none, from sorted listings and a fixed seed.

CoOp shuffles what the operating system happens to list, with whatever seed the run has, so its splits differ between
machines; ours do not, and the record says that the split was made by rule.
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
"""Of the shuffles; the split is the same for all seeds of a run."""


def split_folders(images: Path, *, ignored: Collection[str] = (), renamed: Mapping[str, str] | None = None) -> Listing:
    """``split_classes`` where each class has a folder; labels follow the sorted folder names."""
    renamed = renamed or {}
    items = []
    for label, folder in enumerate(name for name in list_folders(images) if name not in ignored):
        found = list_images(images / folder)
        if not found:
            raise UserError("a class without images", where=str(images / folder), fix="unpack the data set again")
        items += [Item(f"{folder}/{name}", label, renamed.get(folder, folder)) for name in found]
    if not items:
        raise UserError("no folder with images", where=str(images), fix="unpack the data set again")
    return split_classes(items)


def split_classes(items: Iterable[Item]) -> Listing:
    """Half of each class for training, 20 % for validation, both rounded, and the rest for testing."""
    train: list[Item] = []
    val: list[Item] = []
    test: list[Item] = []
    for members in _shuffled(items):
        first, second = round(len(members) * 0.5), round(len(members) * 0.2)
        train += members[:first]
        val += members[first : first + second]
        test += members[first + second :]
    return Listing(train, val, test, note="split made by rule: 50/20/30 % of each class")


def hold_out(items: Iterable[Item], test: Sequence[Item]) -> Listing:
    """The official test list; of the rest, 20 % of each class, rounded, are held out for validation."""
    train: list[Item] = []
    val: list[Item] = []
    for members in _shuffled(items):
        held = round(len(members) * 0.2)
        val += members[:held]
        train += members[held:]
    return Listing(train, val, test, note="official test list; 20 % of the rest held out by rule")


def _shuffled(items: Iterable[Item]) -> list[list[Item]]:
    """The items class by class in order of first appearance, each class shuffled from its sorted paths."""
    classes: dict[int, list[Item]] = defaultdict(list)
    for item in items:
        classes[item.label].append(item)
    rng = random.Random(SEED)
    for members in classes.values():
        members.sort(key=lambda item: item.path)
        rng.shuffle(members)
    return list(classes.values())


def read_lines(file: Path, parse: Callable[[str], T]) -> list[T]:
    """What ``parse`` makes of each line of a text file that is not empty.

    Raises:
        UserError: the file cannot be read, or a line of it makes no sense.
    """
    fix = "get this file again"
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot be read: {error}", where=str(file), fix=fix) from None
    found = []
    for number, line in enumerate(lines, start=1):
        try:
            if line.strip():
                found.append(parse(line.strip()))
        except (ValueError, LookupError):
            raise UserError(f"makes no sense: {line!r}", where=f"{file}, line {number}", fix=fix) from None
    return found


def read_mat(file: Path, variable: str) -> list[Any]:
    """A vector of a MATLAB file, as a list.

    Raises:
        UserError: it cannot be read.
    """
    from scipy.io import loadmat  # only here: slow to import

    try:
        return list(np.atleast_1d(loadmat(file, squeeze_me=True)[variable]))
    except Exception as error:  # scipy raises many kinds for a file that is none
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"cannot be read ({reason})", where=str(file), fix="get this file again") from None
