"""Pictures of the images that change sides, small enough to travel in the page."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from benchmark.analysis.check.result import CheckResult
from benchmark.data.contact_sheet import tile
from benchmark.report.check.content import flip
from benchmark.report.numbers import number

SHOWN = 48
"""Pictures of one kind."""
EACH = 6
"""Pictures of one class and kind."""


class Picture(NamedTuple):
    """One image."""

    data: str
    """Address with the picture in it."""
    name: str
    caption: str


class Group(NamedTuple):
    """The images of one class that change sides in the same way."""

    name: str
    pictures: list[Picture]
    more: int
    """How many are not shown."""


def gallery(result: CheckResult, rows: np.ndarray) -> list[Group]:
    """The images at ``rows`` by class, the classes with most of them first."""
    labels = np.asarray(result.test.examples.labels)[rows]
    groups, left = [], SHOWN
    for label in sorted(set(labels.tolist()), key=lambda label: (-int((labels == label).sum()), label)):
        own = rows[labels == label].tolist()
        shown = own[: min(EACH, max(0, left))]
        left -= len(shown)
        groups.append(Group(result.test.classes[label], list(_pictures(result, shown)), len(own) - len(shown)))
    return groups


def _pictures(result: CheckResult, rows: list[int]) -> Iterator[Picture]:
    for row in rows:
        told = flip(result, row)
        sure = "" if told["confidence"] is None else f" ({number(100 * told['confidence'], 0)} %)"
        caption = f"{told['old']} \N{RIGHTWARDS ARROW} {told['new']}{sure}"
        yield Picture(_address(result, row), str(told["image"]), caption)


def _address(result: CheckResult, row: int) -> str:
    buffer = io.BytesIO()
    tile(result.test.examples, row).save(buffer, format="JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
