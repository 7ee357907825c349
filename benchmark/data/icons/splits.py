"""Splits of the icon data sets by drawing: near-identical drawings are never in two parts of a split."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from benchmark.data.dataset import ArrayImages, Examples, Splits
from benchmark.data.duplicates import THRESHOLD, fingerprints, merge, similar_pairs
from benchmark.data.icons.classes import OBJECTS, ObjectClass
from benchmark.data.icons.families import FAMILIES, Glyph
from benchmark.data.icons.render import ink_maps


@dataclass(frozen=True)
class Pool:
    """Labelled pictures of one dataset before the split: ink (N, 32, 32); a label, a name and a drawing per picture."""

    ink: np.ndarray
    labels: tuple[int, ...]
    names: tuple[str, ...]
    drawings: tuple[object, ...]
    """Pictures with equal values show the same drawing."""


def to_rgb(ink: np.ndarray) -> np.ndarray:
    """Black ink on white paper: uint8 (N, S, S, 3) from ink maps (N, S, S)."""
    return np.repeat((255 - ink)[..., None], 3, axis=-1)


def groups(pool: Pool, threshold: float = THRESHOLD) -> list[int]:
    """Group numbers: pictures of one drawing and near-duplicates have the same number."""
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
    """Split a pool by group, in an order that depends only on names.

    Each class has ``train`` and ``val`` pictures or more, and up to ``test`` test pictures. A group that spans classes is
    left out because its label is ambiguous, unless ``spans`` says that every drawing shows several classes by design.
    ``threshold`` is the similarity of near-duplicates; sets whose pictures are naturally similar (digits) use a higher one.
    """
    numbers = groups(pool, threshold)
    members: dict[int, list[int]] = defaultdict(list)
    for row, number in enumerate(numbers):
        members[number].append(row)
    if spans:
        parts = _split_shared(pool, members, len(classes), train, val, test)
    else:
        parts = _split_by_class(pool, members, len(classes), train, val, test)
    train_part, val_part, test_part = (_examples(pool, numbers, rows) for rows in parts)
    return Splits(tuple(classes), train=train_part, val=val_part, test=test_part)


def _order(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def _split_by_class(
    pool: Pool, members: dict[int, list[int]], classes: int, train: int, val: int, test: int
) -> tuple[list[int], list[int], list[int]]:
    """One picture per group, split class by class."""
    by_class: list[list[int]] = [[] for _ in range(classes)]
    for rows in members.values():
        if len({pool.labels[row] for row in rows}) == 1:
            by_class[pool.labels[rows[0]]].append(min(rows, key=lambda row: _order(pool.names[row])))
    parts: tuple[list[int], list[int], list[int]] = ([], [], [])
    for label, rows in enumerate(by_class):
        rows.sort(key=lambda row: _order(pool.names[row]))
        test_count = min(test, len(rows) - train - val)
        if test_count < 1:
            raise ValueError(f"class {label} has {len(rows)} drawings, fewer than {train} + {val} + 1")
        chosen = (rows[test_count + val :], rows[test_count : test_count + val], rows[:test_count])
        for part, part_rows in zip(parts, chosen, strict=True):
            part.extend(part_rows)
    return parts


def _split_shared(
    pool: Pool, members: dict[int, list[int]], classes: int, train: int, val: int, test: int
) -> tuple[list[int], list[int], list[int]]:
    """Whole groups, of those that show every class."""
    ordered = sorted(members.values(), key=lambda rows: _order(min(pool.names[row] for row in rows)))
    complete = [rows for rows in ordered if len({pool.labels[row] for row in rows}) == classes]
    test_count = min(test, len(complete) - train - val)
    if test_count < 1:
        raise ValueError(f"{len(complete)} drawings are fewer than {train} + {val} + 1")
    chosen = (complete[test_count + val :], complete[test_count : test_count + val], complete[:test_count])
    first, second, third = ([row for rows in part for row in rows] for part in chosen)
    return first, second, third


def _examples(pool: Pool, numbers: Sequence[int], rows: list[int]) -> Examples:
    rows = sorted(rows, key=lambda row: (pool.labels[row], pool.names[row]))
    images = ArrayImages(to_rgb(pool.ink[rows]))
    return Examples(images, tuple(pool.labels[row] for row in rows), tuple(numbers[row] for row in rows))


def starts_with(glyph: Glyph, heads: Sequence[str]) -> bool:
    """True if the glyph's name is one of ``heads`` or continues one with a hyphen."""
    return any(glyph.stem == head or glyph.stem.startswith(head + "-") for head in heads)


def label_of(glyph: Glyph, classes: Sequence[ObjectClass] = OBJECTS) -> int | None:
    """Object class of a glyph of Tabler, Remix or Phosphor; None if it belongs to none, or to several."""
    labels = [
        label
        for label, kind in enumerate(classes)
        if starts_with(glyph, kind.tabler if glyph.family == "tabler" else kind.others)
    ]
    return labels[0] if len(labels) == 1 else None


def objects_pool(family: str, styles: Sequence[str]) -> Pool:
    """Drawings of the object classes in a one-colour family, in the given styles."""
    candidates = [(glyph, label_of(glyph)) for glyph in FAMILIES[family].glyphs() if glyph.style in styles]
    labelled = [(glyph, label) for glyph, label in candidates if label is not None]
    glyphs = [glyph for glyph, _ in labelled]
    return Pool(
        ink=ink_maps(glyphs),
        labels=tuple(label for _, label in labelled),
        names=tuple(f"{glyph.family}/{glyph.style}/{glyph.name}" for glyph in glyphs),
        drawings=tuple(glyph.stem for glyph in glyphs),
    )


@lru_cache(maxsize=1)
def objects() -> Splits:
    """The common objects: Tabler's outline icons of 50 classes, with at least 8 training drawings per class."""
    pool = objects_pool("tabler", ("outline",))
    return split(pool, [kind.name for kind in OBJECTS], train=8, val=4, test=6)


def shifted_test_set(pool: Pool, limit: int = 3) -> Splits:
    """A shifted test set from a pool: one picture per group and at most ``limit`` per class; classes without pictures are
    left out."""
    numbers = groups(pool)
    labels_of: dict[int, set[int]] = defaultdict(set)
    for number, label in zip(numbers, pool.labels, strict=True):
        labels_of[number].add(label)
    first_rows: dict[int, dict[int, int]] = defaultdict(dict)  # by label and group
    for row in sorted(range(len(numbers)), key=lambda row: _order(pool.names[row])):
        if len(labels_of[numbers[row]]) == 1:
            first_rows[pool.labels[row]].setdefault(numbers[row], row)
    present = sorted(first_rows)
    rows = [row for label in present for row in list(first_rows[label].values())[:limit]]
    labels = tuple(present.index(pool.labels[row]) for row in rows)
    test = Examples(ArrayImages(to_rgb(pool.ink[rows])), labels, tuple(numbers[row] for row in rows))
    return Splits(tuple(OBJECTS[label].name for label in present), test=test)
