"""The test images that modules lose in an upgrade: right with the old backbone, wrong when reused on the new one.

At most ``SHOWN`` of an upgrade are kept as pictures, so that a results folder and its report stay small.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Annotated, Any, TypeVar

from pydantic import Field, TypeAdapter

from benchmark.data.task import HEADLINE

SHOWN = 48
"""Most pictures of one upgrade."""
EACH = 6
"""Most pictures of one class."""
Row = TypeVar("Row")


@dataclass(frozen=True)
class Picture:
    """A test image that modules lose."""

    row: int
    """Its place in the test set."""
    name: str
    """Its path or number."""
    data: Annotated[str, Field(pattern=r"^(data:image/[a-z]+;base64,[A-Za-z0-9+/=]*)?$")]
    """A data URI."""
    answers: Mapping[str, Mapping[str, str]]
    """By method and module, "SHOTS/SEED": the wrong answer on the new backbone, or empty if the module does not lose the
    image. It has every method with predictions on both backbones."""

    @cached_property
    def lost(self) -> dict[str, int]:
        """How many modules of each method lose it, most first; no method that has none."""
        counts = {name: sum(map(bool, modules.values())) for name, modules in self.answers.items()}
        return dict(sorted(((name, count) for name, count in counts.items() if count), key=lambda item: -item[1]))

    @property
    def modules(self) -> int:
        """How many modules there are."""
        return sum(map(len, self.answers.values()))

    @property
    def wrong(self) -> str:
        """The most frequent wrong answer; the alphabetically first of several."""
        counts = Counter(answer for modules in self.answers.values() for answer in modules.values() if answer)
        return min(counts, key=lambda answer: (-counts[answer], answer), default="")

    @property
    def rank(self) -> tuple[int, int]:
        """Lower for an image that is lost by more methods, then by more modules."""
        return -len(self.lost), -sum(self.lost.values())


@dataclass(frozen=True)
class LostClass:
    """A class of a test set of which images are lost."""

    dataset: str
    part: str
    """base, new or all."""
    label: int
    name: str
    rows: tuple[int, ...]
    """The images that any module loses."""
    pictures: tuple[Picture, ...] = ()
    """Some of them, those that most methods lose first."""


@dataclass(frozen=True)
class LostImages:
    """What is lost in one upgrade. Only of data sets whose images may be shown."""

    protocol: str
    images: Mapping[str, int]
    """How many test images each data set has."""
    classes: tuple[LostClass, ...] = ()
    """The class with the image that most methods lose first."""

    @property
    def count(self) -> int:
        """How many images any module loses."""
        return sum(len(own.rows) for own in self.classes)


Lost = Mapping[str, LostImages]
"""By pair, "old->new"."""
_FILE: TypeAdapter[dict[str, LostImages]] = TypeAdapter(dict[str, LostImages])


def content(lost: Lost) -> dict[str, Any]:
    """What the file of a results folder holds."""
    return {pair: asdict(images) for pair, images in lost.items()}


def parse(text: bytes) -> dict[str, LostImages]:
    """The inverse of ``content``.

    Raises:
        ValueError: it is something else.
    """
    return _FILE.validate_json(text)


def choose(ranked: Sequence[Row], group: Callable[[Row], Hashable], *, shown: int = SHOWN, each: int = EACH) -> list[Row]:
    """The first ``shown`` of ``ranked``, at most ``each`` of one group."""
    taken: Counter[Hashable] = Counter()
    chosen: list[Row] = []
    for row in ranked:
        if len(chosen) < shown and taken[group(row)] < each:
            taken[group(row)] += 1
            chosen.append(row)
    return chosen


def bounded(lost: LostImages) -> LostImages:
    """The same with at most ``SHOWN`` pictures and ``EACH`` of a class: those that most methods lose, the data sets in turn.

    Classes are in the order of their first picture; those without one come last.
    """
    ranked = []
    for name in lost.images:
        pictures = [(own, picture) for own in lost.classes if own.dataset == name for picture in own.pictures]
        pictures.sort(key=lambda pair: (pair[1].rank, pair[0].part, pair[0].label, pair[1].row))
        pictures = choose(pictures, lambda pair: _place(pair[0]))
        ranked += [(place, own, picture) for place, (own, picture) in enumerate(pictures)]
    ranked.sort(key=lambda item: item[0])  # stable: the data sets stay in their order
    kept: dict[Hashable, list[Picture]] = defaultdict(list)
    for _, own, picture in choose(ranked, lambda item: _place(item[1])):
        kept[_place(own)].append(picture)
    order = {place: number for number, place in enumerate(kept)}
    classes = [replace(own, pictures=tuple(kept.get(_place(own), ()))) for own in lost.classes]
    classes.sort(key=lambda own: (order.get(_place(own), len(order)), -len(own.rows)))
    return replace(lost, classes=tuple(classes))


def merge(several: Sequence[Lost]) -> dict[str, LostImages]:
    """Those of several results folders. The methods of a picture, and the number that they are out of, are those of the
    folders that have the picture."""
    merged: dict[str, LostImages] = {}
    for lost in several:
        for pair, images in lost.items():
            merged[pair] = _both(merged[pair], images) if pair in merged else images
    return merged


def _both(one: LostImages, other: LostImages) -> LostImages:
    """Of two protocols, the one that the headline prefers."""
    if one.protocol != other.protocol:
        return min(one, other, key=lambda images: HEADLINE.index(images.protocol) if images.protocol in HEADLINE else 99)
    classes = {_place(own): own for own in one.classes}
    for own in other.classes:
        known = classes.get(_place(own))
        classes[_place(own)] = _class_of_both(known, own) if known else own
    return bounded(LostImages(one.protocol, {**one.images, **other.images}, tuple(classes.values())))


def _class_of_both(one: LostClass, other: LostClass) -> LostClass:
    pictures = {picture.row: picture for picture in one.pictures}
    for picture in other.pictures:
        known = pictures.get(picture.row)
        if known:
            answers = {name: dict(modules) for name, modules in known.answers.items()}
            for name, modules in picture.answers.items():
                answers[name] = {**answers.get(name, {}), **modules}
            picture = replace(known, answers=answers)
        pictures[picture.row] = picture
    return replace(one, rows=tuple(sorted({*one.rows, *other.rows})), pictures=tuple(pictures.values()))


def _place(own: LostClass) -> Hashable:
    """What identifies a class."""
    return own.dataset, own.part, own.label, own.name
