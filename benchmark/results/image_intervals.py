"""Intervals for one module, which has no seeds: only the choice of test images makes its values uncertain.

Images that show the same drawing count for less than as many different ones: the number of images is divided by the design
effect (Kish 1965), the variance of the mean with drawings as units over that with images as units.

Sources: Wilson 1927 for a share; Agresti and Min 2005, "Simple improved confidence intervals for comparing matched
proportions", for a difference of two shares of the same images. tests/results/test_image_intervals.py has their coverage.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import stats

from benchmark.results.intervals import CONFIDENCE
from benchmark.results.paired import by_drawing, image_variance

RESAMPLES = 1000
"""Of the bootstrap."""


@dataclass(frozen=True)
class Measured:
    """A number about one module, with its interval; NaN where there is none."""

    value: float
    low: float = math.nan
    high: float = math.nan

    @property
    def side(self) -> int:
        """1 if the whole interval is above 0, -1 if it is below, else 0."""
        return int(self.low > 0) - int(self.high < 0)

    def inside(self, margin: float) -> bool:
        """Whether the whole interval is within ``margin`` of 0."""
        return -margin < self.low and self.high < margin


def share(holds: np.ndarray, groups: np.ndarray) -> Measured:
    """The share of images, in per cent, of which something holds.

    Args:
        holds: (N,) bool.
        groups: (N,) the drawing that each image shows.
    """
    count = len(holds) / design_effect(holds.astype(float), groups)
    quantile = float(stats.norm.ppf(0.5 + CONFIDENCE / 2))
    rate = float(holds.mean())
    spread = quantile * math.sqrt(rate * (1 - rate) / count + quantile**2 / (4 * count**2))
    centre, scale = rate + quantile**2 / (2 * count), 1 + quantile**2 / count
    return Measured(100 * rate, 100 * max(0.0, centre - spread) / scale, 100 * min(1.0, (centre + spread) / scale))


def paired_difference(one: np.ndarray, other: np.ndarray, groups: np.ndarray) -> Measured:
    """The share of ``one`` minus that of ``other``, in points; both (N,) bool, of the same images."""
    differences = one.astype(float) - other.astype(float)
    effect = design_effect(differences, groups)
    better, worse = (float((differences == sign).sum()) / effect for sign in (1, -1))
    count = len(differences) / effect + 2  # half an image more in each cell of the two-by-two table
    centre = (better - worse) / count
    error = math.sqrt(max(0.0, (better + worse + 1) / count - centre**2) / count)
    half = float(stats.norm.ppf(0.5 + CONFIDENCE / 2)) * error
    return Measured(100 * float(differences.mean()), 100 * max(-1.0, centre - half), 100 * min(1.0, centre + half))


def bootstrap(statistic: Callable[[np.ndarray], float], groups: np.ndarray) -> Measured:
    """A statistic of a set of images, from their rows, with the basic interval of a bootstrap over drawings; same bytes each
    time. A statistic that grows with noise, such as ECE, does so in resamples too, and the basic interval takes that off.

    Source: Davison and Hinkley 1997, equation 2.10; section 3.8 for the resampling of clusters.
    """
    rng = np.random.default_rng(0)
    _, members = np.unique(groups, return_inverse=True)
    order = np.argsort(members, kind="stable")
    rows_of = np.split(order, np.cumsum(np.bincount(members))[:-1])
    values = []
    for _ in range(RESAMPLES):
        drawn = rng.integers(len(rows_of), size=len(rows_of))
        values.append(statistic(np.concatenate([rows_of[index] for index in drawn])))
    value = statistic(np.arange(len(groups)))
    low, high = np.quantile(values, [0.5 - CONFIDENCE / 2, 0.5 + CONFIDENCE / 2])
    return Measured(value, 2 * value - float(high), 2 * value - float(low))


def design_effect(values: np.ndarray, groups: np.ndarray) -> float:
    """How many times the variance of the mean of ``values`` (N,) is what it would be if no two images showed the same
    drawing; at least 1, so that chance does not narrow an interval."""
    effects = (values - values.mean()) / len(values)
    alone = image_variance(100 * effects, 100 * effects)
    together = by_drawing(effects, groups)
    return max(1.0, image_variance(together, together) / alone) if alone > 0 else _largest(groups)


def _largest(groups: np.ndarray) -> float:
    """The design effect of values that do not vary: images over drawings, as if each drawing were one image."""
    return len(groups) / len(np.unique(groups))
