"""Pictures of test images by class, and those that modules lose in an upgrade."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from benchmark.report.numbers import count, listing, plural
from benchmark.results.lost_images import LostClass, LostImages
from benchmark.results.lost_images import Picture as LostPicture

NAMED = 3
"""Methods that a picture names."""


class Picture(NamedTuple):
    """One image."""

    data: str
    """A data URI."""
    alt: str
    """What is shown, for those who cannot see it."""
    lines: tuple[str, ...]
    """What is said below it."""


class Group(NamedTuple):
    """The images of one class."""

    name: str
    pictures: list[Picture]
    more: int
    """How many are not shown."""
    dataset: str = ""


class Gallery(NamedTuple):
    """The lost images of one upgrade."""

    summary: str
    intro: str
    groups: list[Group]
    rest: str
    """About the classes without pictures; empty if there is none."""


def gallery(lost: LostImages | None) -> Gallery | None:
    """What the page shows of one upgrade; None if nothing may be shown or nothing is lost."""
    if lost is None or not any(own.pictures for own in lost.classes):
        return None
    shown = [own for own in lost.classes if own.pictures]
    others = sum(len(own.rows) for own in lost.classes if not own.pictures)
    of = f"{count(lost.count)} of {count(sum(lost.images.values()))}"
    return Gallery(
        f"Images that modules lose: {of}",
        f"Test images of {listing(list(lost.images))} (protocol {lost.protocol}) that at least one module classifies "
        f"correctly with the old backbone and wrongly when it is reused on the new one: {of}. A module is a method trained "
        "with one seed. The images that most methods lose come first. Each has the most frequent wrong answer, how many "
        "methods and modules lose it, and which methods.",
        [_group(own) for own in shown],
        f"Lost images of other classes, not shown: {count(others)}." if others else "",
    )


def _group(own: LostClass) -> Group:
    pictures = [
        Picture(picture.data, f"{own.name}, {picture.name} of {own.dataset}", _lines(picture)) for picture in own.pictures
    ]
    return Group(f"{own.name} ({own.dataset})", pictures, len(own.rows) - len(pictures), own.dataset)


def _lines(picture: LostPicture) -> tuple[str, ...]:
    methods = f"{len(picture.lost)} of {plural(len(picture.answers), 'method')}"
    if picture.modules > len(picture.answers):
        methods += f", {sum(picture.lost.values())} of {count(picture.modules)} modules"
    return f"\N{RIGHTWARDS ARROW} {picture.wrong}", methods, first_few(list(picture.lost))


def first_few(names: Sequence[str], shown: int = NAMED) -> str:
    """Names in a sentence: the first few, and how many more there are."""
    if len(names) <= shown + 1:
        return ", ".join(names)
    return f"{', '.join(names[:shown])} and {len(names) - shown} more"
