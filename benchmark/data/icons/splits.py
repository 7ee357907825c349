"""Splits of the icon world by drawing: no group of near-identical drawings is ever on two sides of a split."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from benchmark.data.dataset import ArrayImages, Examples, Splits
from benchmark.data.icons.classes import OBJECTS, ObjectClass
from benchmark.data.icons.duplicates import THRESHOLD, fingerprints, merge, similar_pairs
from benchmark.data.icons.families import FAMILIES, Glyph
from benchmark.data.icons.render import ink_maps


@dataclass(frozen=True)
class Pool:
    """Labelled pictures of one dataset before the split: ink (N, 32, 32), labels, a name and a drawing for each."""

    ink: np.ndarray
    labels: tuple[int, ...]
    names: tuple[str, ...]
    drawings: tuple[object, ...]
    """Pictures with equal values show the same drawing."""


def to_rgb(ink: np.ndarray) -> np.ndarray:
    """Black ink on white paper: uint8 (N, S, S, 3) from ink maps (N, S, S)."""
    return np.repeat((255 - ink)[..., None], 3, axis=-1)


def groups(pool: Pool, threshold: float = THRESHOLD) -> list[int]:
    """Group numbers: pictures of one drawing, and near-duplicates of each other, share one."""
    prints = fingerprints(pool.ink)
    return merge(pool.drawings, similar_pairs(prints, prints, threshold))


def split(
    pool: Pool,
    classes: Sequence[str],
    *,
    train: int,
    val: int,
    test: int,
    spans: bool = False,
    threshold: float = THRESHOLD,
) -> Splits:
    """Split a pool by group, in an order that only depends on names.

    Each class gives up to ``test`` pictures to the test split, after ``train`` and ``val`` are provided for. A group that
    spans classes is left out, as its label is in doubt, unless ``spans`` says that its pictures differ in what is asked.
    ``threshold`` is the similarity of near-duplicates; sets whose pictures are alike by nature (digits) raise it.
    """
    numbers = groups(pool, threshold)
    members: dict[int, list[int]] = defaultdict(list)
    for row, number in enumerate(numbers):
        members[number].append(row)
    if spans:
        parts = _split_shared(pool, members, len(classes), train, val, test)
    else:
        parts = _split_by_class(pool, members, len(classes), train, val, test)
    taken = [_examples(pool, numbers, rows) for rows in parts]
    return Splits(tuple(classes), train=taken[0], val=taken[1], test=taken[2])


def _order(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def _split_by_class(
    pool: Pool, members: dict[int, list[int]], classes: int, train: int, val: int, test: int
) -> tuple[list[int], list[int], list[int]]:
    """One picture of each group, dealt class by class."""
    by_class: list[list[int]] = [[] for _ in range(classes)]
    for rows in members.values():
        if len({pool.labels[row] for row in rows}) == 1:
            by_class[pool.labels[rows[0]]].append(min(rows, key=lambda row: _order(pool.names[row])))
    parts: tuple[list[int], list[int], list[int]] = ([], [], [])
    for label, rows in enumerate(by_class):
        rows.sort(key=lambda row: _order(pool.names[row]))
        tested = min(test, len(rows) - train - val)
        if tested < 1:
            raise ValueError(f"class {label} has {len(rows)} drawings, fewer than {train} + {val} + 1")
        for part, chosen in zip(parts, (rows[tested + val :], rows[tested : tested + val], rows[:tested]), strict=True):
            part.extend(chosen)
    return parts


def _split_shared(
    pool: Pool, members: dict[int, list[int]], classes: int, train: int, val: int, test: int
) -> tuple[list[int], list[int], list[int]]:
    """Whole groups, each of which shows every class."""
    whole = sorted(members.values(), key=lambda rows: _order(min(pool.names[row] for row in rows)))
    drawn = [rows for rows in whole if len({pool.labels[row] for row in rows}) == classes]
    tested = min(test, len(drawn) - train - val)
    if tested < 1:
        raise ValueError(f"{len(drawn)} drawings are fewer than {train} + {val} + 1")
    chosen = (drawn[tested + val :], drawn[tested : tested + val], drawn[:tested])
    first, second, third = ([row for rows in part for row in rows] for part in chosen)
    return first, second, third


def _examples(pool: Pool, numbers: Sequence[int], rows: list[int]) -> Examples:
    rows = sorted(rows, key=lambda row: (pool.labels[row], pool.names[row]))
    images = ArrayImages(to_rgb(pool.ink[rows]))
    return Examples(images, tuple(pool.labels[row] for row in rows), tuple(numbers[row] for row in rows))


def starts_with(glyph: Glyph, heads: Sequence[str]) -> bool:
    """True if the glyph's name is one of ``heads`` or goes on after one."""
    return any(glyph.stem == head or glyph.stem.startswith(head + "-") for head in heads)


def label_of(glyph: Glyph, classes: Sequence[ObjectClass] = OBJECTS) -> int | None:
    """Object class of a glyph of Tabler, Remix or Phosphor; None if it is none of them, or more than one."""
    found = [
        label
        for label, each in enumerate(classes)
        if starts_with(glyph, each.tabler if glyph.family == "tabler" else each.others)
    ]
    return found[0] if len(found) == 1 else None


def objects_pool(family: str, styles: Sequence[str]) -> Pool:
    """Drawings of the object classes in a one-colour family, in the given styles."""
    chosen = [(g, label_of(g)) for g in FAMILIES[family].glyphs() if g.style in styles]
    kept = [(glyph, label) for glyph, label in chosen if label is not None]
    glyphs = [glyph for glyph, _ in kept]
    return Pool(
        ink=ink_maps(glyphs),
        labels=tuple(label for _, label in kept),
        names=tuple(f"{glyph.family}/{glyph.style}/{glyph.name}" for glyph in glyphs),
        drawings=tuple(glyph.stem for glyph in glyphs),
    )


@lru_cache(maxsize=1)
def objects() -> Splits:
    """The common-object set: Tabler's outlines of 50 classes, at least 8 drawings a class to train on."""
    pool = objects_pool("tabler", ("outline",))
    return split(pool, [each.name for each in OBJECTS], train=8, val=4, test=6)


def shifted_test_set(pool: Pool, limit: int = 3) -> Splits:
    """A shifted test set from a pool: one picture a group, at most ``limit`` a class, classes without any left out."""
    numbers = groups(pool)
    spanning = {n for n in numbers if len({label for m, label in zip(numbers, pool.labels, strict=True) if m == n}) > 1}
    taken: dict[int, dict[int, int]] = defaultdict(dict)
    for row in sorted(range(len(numbers)), key=lambda row: _order(pool.names[row])):
        if numbers[row] not in spanning:
            taken[pool.labels[row]].setdefault(numbers[row], row)
    present = sorted(taken)
    rows = [row for label in present for row in list(taken[label].values())[:limit]]
    labels = tuple(present.index(pool.labels[row]) for row in rows)
    test = Examples(ArrayImages(to_rgb(pool.ink[rows])), labels, tuple(numbers[row] for row in rows))
    return Splits(tuple(OBJECTS[label].name for label in present), test=test)
