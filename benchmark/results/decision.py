"""Which of the measured ways to go on is right at an upgrade: one rule, by tests on the same images and seeds.

The ways are, from cheap to costly: keep the module or use none, repair it, stay on the old backbone, run both backbones,
retrain; there may be several repairs, and several ways to run both. Each way has as many candidates as there are methods. A
candidate counts if it is better than the new backbone without a module, with an interval that holds for all candidates of
its way at the same time, as that of a verdict does: the best one is not better by having been picked; and if it does no
harm under another protocol. The choice begins with no module; every further way replaces it only if its best candidate is
better with an interval of the difference above 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from benchmark.results.intervals import Estimate, combine, family_confidence
from benchmark.results.summary import Covariances, Part, groups, lift_of

KEEP, STAY, RETRAIN = "keep", "stay", "retrain"
Who = tuple[str, str, str]
"""Way, method and configuration of a candidate."""


@dataclass(frozen=True)
class Way:
    """A way to go on."""

    name: str
    """keep, stay, retrain, or the strategy of a repair."""
    lift: str
    """The column of the difference from no module on the new backbone."""
    accuracy: str


def ways(repairs: Sequence[Mapping[str, Any]] = ()) -> list[Way]:
    """All ways from cheap to costly. ``repairs``: those that were measured, see ``About.repairs``."""
    alone, both = (
        [
            Way(repair["strategy"], lift_of(repair["strategy"]), repair["strategy"])
            for repair in repairs
            if kind == keeps(repair)
        ]
        for kind in (False, True)
    )
    return [
        Way(KEEP, "lift", "reuse"),
        *alone,
        Way(STAY, "stay_lift", "old"),
        *both,
        Way(RETRAIN, "retrain_lift", "retrain"),
    ]


def keeps(repair: Mapping[str, Any]) -> bool:
    """Whether a repair runs both backbones."""
    return bool(repair.get("keeps_old"))


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
    harms_on: str = ""
    """The test sets of another protocol that it is significantly worse on than no module."""

    @property
    def better(self) -> bool:
        """Whether it is significantly better than no module."""
        return self.interval[0] > 0

    @property
    def counts(self) -> bool:
        """Whether it may be chosen."""
        return self.better and not self.harms_on


@dataclass(frozen=True)
class Decision:
    """The right way at one upgrade; ``choice`` is None for the new backbone without a module."""

    choice: Candidate | None
    best: dict[str, Candidate]
    """The best candidate of every way by accuracy, whether it counts or not."""
    tied: tuple[Candidate, ...]
    """Costlier ones that count and are not significantly better than the choice."""
    by_dataset: Mapping[str, float] = field(default_factory=dict)
    """The choice minus no module on every data set, means over seeds."""


def decide(
    table: pd.DataFrame,
    where: tuple[str, str, str],
    covariances: Covariances,
    baseline: str,
    harmful: Mapping[Who, str] | None = None,
    repairs: Sequence[Mapping[str, Any]] = (),
    looks: int = 1,
) -> Decision:
    """The decision at one upgrade.

    Args:
        table: That of ``summary.with_baseline``.
        where: Pair, protocol and split.
        covariances: What the images contribute to the uncertainty.
        baseline: Name of the zero-shot method, which may be a candidate for staying only.
        harmful: Candidates that harm under another protocol, and what its test sets are called; see ``elsewhere``. They are
            not chosen, whatever they bring here.
        repairs: Those that were measured, see ``About.repairs``.
        looks: See ``summary.summarise``.
    """
    pair, protocol, split = where
    rows = table[(table.pair == pair) & (table.protocol == protocol) & (table.split == split) & (table.test_set == "")]
    parts = {part.name: part for part in groups(rows)}
    known = [way for way in ways(repairs) if way.accuracy in table]
    found, by_name = _candidates(parts, covariances, baseline, harmful or {}, known, looks), {way.name: way for way in known}
    choice: Candidate | None = None
    best, tied = dict[str, Candidate](), list[Candidate]()
    for way in by_name:
        own = [candidate for candidate in found if candidate.way == way]
        if not own:
            continue
        best[way] = max(own, key=lambda candidate: candidate.accuracy)
        counted = [candidate for candidate in own if candidate.counts]
        if not counted:
            continue
        challenger = max(counted, key=lambda candidate: candidate.accuracy)
        if choice is not None:
            low, high = _difference(parts, (challenger, by_name[way]), (choice, by_name[choice.way]), covariances).interval()
        if choice is None or low > 0:
            choice = challenger
            tied = []
        elif high >= 0:
            tied.append(challenger)
    by_dataset = {} if choice is None else _by_dataset(parts[choice.method, choice.config], by_name[choice.way])
    return Decision(choice, best, tuple(tied), by_dataset)


def _measured(part: Part, way: Way) -> set[tuple[str, int]]:
    """The (data set, seed) that a way has a value for."""
    return {(dataset, seed) for dataset, seeds in part.values(way.lift).items() for seed in seeds}


def _by_dataset(part: Part, way: Way) -> dict[str, float]:
    return {dataset: sum(seeds.values()) / len(seeds) for dataset, seeds in part.values(way.lift).items()}


def _candidates(
    parts: dict[tuple[str, str], Part],
    covariances: Covariances,
    baseline: str,
    harmful: Mapping[Who, str],
    known: Sequence[Way],
    looks: int,
) -> list[Candidate]:
    """All that have every data set and seed that the upgrade has; where seeds were added, every data set of their own."""
    places = {place for part in parts.values() for place in part.places}
    complete = {
        name: part
        for name, part in parts.items()
        if part.places == {place for place in places if looks == 1 or place[1] in part.seed}
    }
    means = {name: part.means() for name, part in complete.items()}
    found = []
    for way in known:
        own = {
            name: part.estimate(way.lift, covariances)
            for name, part in complete.items()
            if (way.name == STAY or name[0] != baseline) and _measured(part, way) == part.places
        }
        confidence = family_confidence(looks * len(own))
        found += [
            Candidate(
                way.name,
                *name,
                means[name][way.accuracy],
                estimate.mean,
                estimate.interval(confidence),
                harmful.get((way.name, *name), ""),
            )
            for name, estimate in own.items()
        ]
    return found


def _difference(
    parts: dict[tuple[str, str], Part],
    one: tuple[Candidate, Way],
    other: tuple[Candidate, Way],
    covariances: Covariances,
) -> Estimate:
    """``one`` minus ``other``, by data set and seed. How the two depend on the same images is known of some pairs only, so
    their image variances are taken to add up as badly as they can: the interval is at least as wide as it should be."""
    gaps, variances, drawings = [], [], []
    sides = [(parts[candidate.method, candidate.config], way.lift) for candidate, way in (one, other)]
    values = [part.values(quantity) for part, quantity in sides]
    for dataset in values[0]:
        shared = values[1].get(dataset, {})
        gaps.append([value - shared[seed] for seed, value in values[0][dataset].items() if seed in shared])
        known = [covariances.of(quantity, part.where, part.name, part.name, part.tests[dataset]) for part, quantity in sides]
        variances.append(sum(math.sqrt(max(0.0, variance)) for variance, _ in known) ** 2)
        drawings.append(min(count for _, count in known))
    return combine(gaps, variances, drawings)
