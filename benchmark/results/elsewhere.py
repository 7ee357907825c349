"""What the ways to go on at an upgrade bring under other protocols than the headline's: on shifted test sets, on other data
sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from benchmark.results.decision import STAY, Who, ways
from benchmark.results.intervals import family_confidence
from benchmark.results.summary import EQUIVALENCE, Covariances, groups, verdict


@dataclass(frozen=True)
class Effect:
    """A candidate minus the new backbone without a module, in points, on all test sets of a protocol together."""

    mean: float
    interval: tuple[float, float]
    """The intervals of all candidates of a way hold at the same time."""
    verdict: str
    """As that of a reused module."""


Effects = dict[Who, Effect]


def effects(
    table: pd.DataFrame,
    where: tuple[str, str, str],
    covariances: Covariances,
    baseline: str,
    repairs: Sequence[Mapping[str, Any]] = (),
    looks: int = 1,
) -> Effects:
    """The effects of all candidates on the test sets that are not the data sets' own. The arguments are those of
    ``decision.decide``."""
    pair, protocol, split = where
    rows = table[(table.pair == pair) & (table.protocol == protocol) & (table.split == split) & (table.test_set != "")]
    found: Effects = {}
    for way in ways(repairs):
        if way.lift not in rows:
            continue
        measured = rows[rows[way.lift].notna()]
        estimates = {
            part.name: part.estimate(way.lift, covariances)
            for part in groups(measured.assign(own_test_set=measured.test_set, test_set=protocol))
            if way.name == STAY or part.name[0] != baseline
        }
        count = looks * sum(estimate.known for estimate in estimates.values())
        for name, estimate in estimates.items():
            p, outside = count * estimate.p_value(), 2 * count * estimate.p_outside(EQUIVALENCE)
            interval = estimate.interval(family_confidence(count))
            found[(way.name, *name)] = Effect(estimate.mean, interval, verdict(estimate.mean, p, outside))
    return found
