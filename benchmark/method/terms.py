"""Terms that the contract of a method shares with what is known of the way between two backbones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Literal

Space = Literal["tokens", "features", ""]
"""Token embeddings of the text tower (d_t), the joint space of image and text features (d), or none of a backbone's."""


class Incompatible(Exception):
    """A module or method cannot work on a backbone; the message says why."""


def axes_of(name: str, spaces: Mapping[str, Sequence[Space]]) -> Sequence[Space] | None:
    """The declared spaces of a tensor's axes, by the first pattern that its name matches."""
    return next((axes for pattern, axes in spaces.items() if fnmatchcase(name, pattern)), None)
