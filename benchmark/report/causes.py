"""What reasons of cells without values have in common: the cause by which the report groups them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmark.method.shapes import Shape, parse_mismatch

SIZES = {"embed_dim": "embedding width", "text_width": "text width", "context_length": "context length"}
"""Sizes of a backbone that shapes of learnt tensors follow, by their keys in ``About.backbones``."""
WIDTHS = ("embed_dim", "text_width")
"""Those of which hidden layers have a fraction."""
Facts = Mapping[str, Any]
"""What is known of a backbone; empty if nothing is."""


def cause(reason: str, old: Facts, new: Facts) -> str:
    """The cause of a reason on the way from one backbone to another.

    For a tensor of another shape it is what differs between the backbones and explains all its axes that differ, several if
    more than one does; where nothing explains them, the reason without the tensor's name. Other reasons stay as they are.
    """
    mismatch = parse_mismatch(reason)
    if mismatch is None:
        return reason or "no reason recorded"
    if mismatch.given is None:
        return "the new backbone needs a tensor that the module does not have"
    if mismatch.needed is None:
        return "the module has a tensor that the new backbone has no place for"
    changed = _changed(old, new)
    explained = _explained(mismatch.given, mismatch.needed, changed)
    return ", ".join(f"{SIZES[key]} {changed[key][0]} \N{RIGHTWARDS ARROW} {changed[key][1]}" for key in explained) or (
        "a tensor" + reason.removeprefix(mismatch.name)
    )


def _changed(old: Facts, new: Facts) -> dict[str, tuple[int, int]]:
    """The sizes that differ between two backbones."""
    pairs = {key: (old.get(key), new.get(key)) for key in SIZES}
    return {
        key: (one, other)
        for key, (one, other) in pairs.items()
        if isinstance(one, int) and isinstance(other, int) and one != other
    }


def _explained(given: Shape, needed: Shape, changed: Mapping[str, tuple[int, int]]) -> list[str]:
    """The sizes that explain all axes that differ: each of them alone if one does, else together."""
    if len(given) != len(needed):
        return []
    axes = {pair for pair in zip(given, needed, strict=True) if pair[0] != pair[1]}
    equal = [key for key, sizes in changed.items() if sizes in axes]
    alone = [key for key, sizes in changed.items() if axes <= {sizes} or (key in WIDTHS and _same_fraction(axes, *sizes))]
    if alone:
        return [key for key in alone if key in equal] or alone
    return equal if axes <= set(changed.values()) else []


def _same_fraction(axes: set[tuple[int, int]], old: int, new: int) -> bool:
    """Whether all axes are the same part of a width on both backbones, such as a quarter."""
    return all(one * new == other * old for one, other in axes)
