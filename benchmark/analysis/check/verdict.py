"""Which way to go on is advised, by one rule.

Keeping the module and using the new backbone without it cost nothing: of these two the more accurate one is the first
choice. The other options follow in the order of their cost, ``CHEAPEST_FIRST``. One takes the place of the choice only if it
is better on the test images, with a paired interval that is all above 0: every step up in cost must pay for itself.

Of the repairs with one backbone and of those with two only one each takes part: the best on held-out images, or, without
such images, the one that was best on average in docs/repairs.md. Choosing among all of them by test images would favour the
luckiest.

Tests are not corrected for their number: this is one question about one module.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.analysis.check.options import Kind, Option
from benchmark.results.image_intervals import Measured, paired_difference

CHEAPEST_FIRST: tuple[Kind, ...] = ("keep", "discard", "repair", "stay", "both", "retrain")
FREE: tuple[Kind, ...] = ("keep", "discard")
MARGIN = 1.0
"""Points of accuracy within which two options are the same for all purposes; that of the report's verdicts."""


@dataclass(frozen=True, eq=False)
class Verdict:
    """What is advised, and how sure that is."""

    choice: Option
    tied: tuple[Option, ...]
    """Others that the test images cannot tell from the choice, cheapest first."""
    worse: tuple[Option, ...]
    """Others that are worse, cheapest first."""
    lift: Measured | None
    """The module on the new backbone minus no module there; None if it does not fit."""

    @property
    def helps(self) -> str:
        """What the module does on the new backbone, in the words of the report's verdicts."""
        if self.lift is None:
            return "incompatible"
        if self.lift.side:
            return "helps" if self.lift.side > 0 else "harms"
        return "no effect" if self.lift.inside(MARGIN) else "undecided"


def candidates(options: Sequence[Option]) -> list[Option]:
    """The options that take part, cheapest first."""
    measured = [option for option in options if option.measured and not option.control]
    chosen = [option for option in measured if option.kind not in ("reference", "repair", "both")]
    for kind in ("repair", "both"):
        some = [option for option in measured if option.kind == kind]
        if some:
            chosen.append(_representative(some))
    return sorted(chosen, key=lambda option: CHEAPEST_FIRST.index(option.kind))


def _representative(some: Sequence[Option]) -> Option:
    """The repair that represents its kind; ``some`` are in order of effort."""
    if any(option.held_out is not None for option in some):
        return max(some, key=lambda option: -math.inf if option.held_out is None else option.held_out)
    return next((option for option in some if option.trusted), some[0])


def decide(options: Sequence[Option], groups: np.ndarray) -> Verdict:
    """The verdict on measured options. ``groups``: (N,) the drawing that each test image shows."""
    chosen = candidates(options)
    by_kind = {option.kind: option for option in chosen}
    keep, discard = by_kind.get("keep"), by_kind["discard"]
    choice = keep if keep is not None and keep.accuracy > discard.accuracy else discard
    for option in chosen:
        if option.kind not in FREE and gap(option, choice, groups).side > 0:
            choice = option
    others = [option for option in chosen if option is not choice]
    worse = [option for option in others if gap(choice, option, groups).side > 0]
    tied = [option for option in others if option not in worse]
    return Verdict(choice, tuple(tied), tuple(worse), gap(keep, discard, groups) if keep else None)


def gap(one: Option, other: Option, groups: np.ndarray) -> Measured:
    """Accuracy of one option minus that of another, in points."""
    assert one.predictions is not None
    assert other.predictions is not None
    return paired_difference(one.predictions.right, other.predictions.right, groups)
