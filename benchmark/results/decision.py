"""Which of the measured ways to go on is right at an upgrade: one rule, by tests on the same images and seeds.

The ways are, from cheap to costly: keep the module or use none, stay on the old backbone, retrain. Each way has as many
candidates as there are methods. A candidate counts if it is better than the new backbone without a module, with an interval
that holds for all candidates of its way at the same time, as that of a verdict does: the best one is not better by having
been picked. The choice begins with no module; every further way replaces it only if its best candidate is better with an
interval of the difference above 0.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

import pandas as pd

from benchmark.results.intervals import Estimate, combine, family_confidence
from benchmark.results.summary import Covariances, Part, groups

WAYS = {"keep": ("lift", "reuse"), "stay": ("stay_lift", "old"), "retrain": ("retrain_lift", "retrain")}
"""By name, from cheap to costly: the difference from no module on the new backbone, and the accuracy."""


@dataclass(frozen=True)
class Candidate:
    """One way with one method."""

    way: str
    method: str
    config: str
    accuracy: float
    over_none: float
    """Minus no module on the new backbone, in points."""
    interval: tuple[float, float]
    """Of ``over_none``; the intervals of all candidates of the way hold at the same time."""

    @property
    def counts(self) -> bool:
        """Whether it is significantly better than no module."""
        return self.interval[0] > 0


@dataclass(frozen=True)
class Decision:
    """The right way at one upgrade; ``choice`` is None for the new backbone without a module."""

    choice: Candidate | None
    best: dict[str, Candidate]
    """The best candidate of every way by accuracy, whether it counts or not."""
    tied: tuple[Candidate, ...]
    """Costlier ones that count and are not significantly better than the choice."""


def decide(
    table: pd.DataFrame,
    where: tuple[str, str, str],
    covariances: Covariances,
    baseline: str,
    unfit: Collection[tuple[str, str]] = (),
) -> Decision:
    """The decision at one upgrade.

    Args:
        table: That of ``summary.with_baseline``.
        where: Pair, protocol and split.
        covariances: What the images contribute to the uncertainty.
        baseline: Name of the zero-shot method, which may be a candidate for staying only.
        unfit: (method, config) that must not be kept, whatever they bring here.
    """
    pair, protocol, split = where
    rows = table[(table.pair == pair) & (table.protocol == protocol) & (table.split == split) & (table.test_set == "")]
    parts = {part.name: part for part in groups(rows)}
    found = _candidates(parts, covariances, baseline, unfit)
    choice: Candidate | None = None
    best, tied = dict[str, Candidate](), list[Candidate]()
    for way in WAYS:
        own = [candidate for candidate in found if candidate.way == way]
        if not own:
            continue
        best[way] = max(own, key=lambda candidate: candidate.accuracy)
        counted = [candidate for candidate in own if candidate.counts]
        if not counted:
            continue
        challenger = max(counted, key=lambda candidate: candidate.accuracy)
        if choice is None or _difference(parts, challenger, choice, covariances).interval()[0] > 0:
            choice = challenger
            tied = []
        elif _difference(parts, challenger, choice, covariances).interval()[1] >= 0:
            tied.append(challenger)
    return Decision(choice, best, tuple(tied))


def _candidates(
    parts: dict[tuple[str, str], Part],
    covariances: Covariances,
    baseline: str,
    unfit: Collection[tuple[str, str]],
) -> list[Candidate]:
    """All that have every data set and seed that the upgrade has."""
    cells = max((len(part.seed) for part in parts.values()), default=0)
    complete = {name: part for name, part in parts.items() if len(part.seed) == cells}
    means = {name: part.means() for name, part in complete.items()}
    found = []
    for way, (difference, accuracy) in WAYS.items():
        own = {
            name: part.estimate(difference, covariances)
            for name, part in complete.items()
            if (way == "stay" or name[0] != baseline) and math.isfinite(means[name].get(difference, math.nan))
        }
        confidence = family_confidence(len(own))
        found += [
            Candidate(way, *name, means[name][accuracy], estimate.mean, estimate.interval(confidence))
            for name, estimate in own.items()
        ]
    return [candidate for candidate in found if candidate.way != "keep" or (candidate.method, candidate.config) not in unfit]


def _difference(parts: dict[tuple[str, str], Part], one: Candidate, other: Candidate, covariances: Covariances) -> Estimate:
    """``one`` minus ``other``, by data set and seed. How the two depend on the same images is known of some pairs only, so
    their image variances are taken to add up as badly as they can: the interval is at least as wide as it should be."""
    gaps, variances, drawings = [], [], []
    sides = [(parts[c.method, c.config], WAYS[c.way][0]) for c in (one, other)]
    values = [part.values(quantity) for part, quantity in sides]
    for dataset in values[0]:
        shared = values[1].get(dataset, {})
        gaps.append([value - shared[seed] for seed, value in values[0][dataset].items() if seed in shared])
        known = [covariances.of(quantity, part.where, part.name, part.name, part.tests[dataset]) for part, quantity in sides]
        variances.append(sum(math.sqrt(max(0.0, variance)) for variance, _ in known) ** 2)
        drawings.append(min(count for _, count in known))
    return combine(gaps, variances, drawings)
