"""Learnt tensors of another shape than a backbone needs: the reason of an incompatible cell, written and read."""

from __future__ import annotations

import re
from dataclasses import dataclass

Shape = tuple[int, ...]
_SIZE = r"absent|a scalar|\d+(?: x \d+)*"
_MISMATCH = re.compile(
    rf"(?P<name>.+?) is (?P<given>{_SIZE}) in the module but must be (?P<needed>{_SIZE})(?P<rest> on .+)?"
)


@dataclass(frozen=True)
class Mismatch:
    """A tensor whose shape differs; None for a shape if there is no such tensor."""

    name: str
    given: Shape | None
    """In the module."""
    needed: Shape | None
    """On the backbone."""


def shape_mismatch(needed: dict[str, Shape], given: dict[str, Shape]) -> str | None:
    """Why learnt tensors of shapes ``given`` do not fit where ``needed`` is expected; None if they do. ``parse_mismatch``
    reads it."""
    for name in sorted(needed.keys() | given.keys()):
        if needed.get(name) != given.get(name):
            return f"{name} is {_text(given.get(name))} in the module but must be {_text(needed.get(name))}"
    return None


def parse_mismatch(reason: str) -> Mismatch | None:
    """What ``shape_mismatch`` said, with or without " on BACKBONE" after it; None if it is another reason."""
    match = _MISMATCH.fullmatch(reason)
    return Mismatch(match["name"], _shape(match["given"]), _shape(match["needed"])) if match else None


def _text(shape: Shape | None) -> str:
    return "absent" if shape is None else " x ".join(map(str, shape)) or "a scalar"


def _shape(text: str) -> Shape | None:
    if text == "absent":
        return None
    return () if text == "a scalar" else tuple(map(int, text.split(" x ")))
