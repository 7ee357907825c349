"""Intervals and tests for differences of accuracies over a few seeds, many images and several data sets.

A mean lift has two sources of variance: the seeds (few-shot draw and initialisation; each data set has a handful) and the
test images (shared by all seeds and by both sides of a difference; several may show the same drawing). The two variances
are added, and Student's t has the degrees of freedom of Welch and Satterthwaite. In simulations with three seeds and 200
images, the 95 % interval covers in 95 to 99 % of cases (tests/results/test_intervals.py); a t-interval of seed means alone
in 85 to 95 %.

Source: Satterthwaite 1946, "An Approximate Distribution of Estimates of Variance Components", equation 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
ERROR_RATE = 0.05
"""Family-wise error rate of the verdicts and ranks of one table."""


@dataclass(frozen=True)
class Estimate:
    """A mean with its standard error and degrees of freedom, which are NaN where they cannot be estimated."""

    mean: float
    error: float = math.nan
    freedom: float = math.nan

    @property
    def known(self) -> bool:
        return math.isfinite(self.error) and math.isfinite(self.freedom)

    def interval(self, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """(low, high), NaN where the error is unknown."""
        if not self.known:
            return math.nan, math.nan
        half = float(stats.t.ppf(0.5 + confidence / 2, self.freedom)) * self.error if self.error else 0.0
        return self.mean - half, self.mean + half

    def p_value(self) -> float:
        """Two-sided, of the hypothesis that the true value is 0; NaN where the error is not known."""
        if not self.known:
            return math.nan
        if self.error == 0:
            return 1.0 if self.mean == 0 else 0.0
        return float(2 * stats.t.sf(abs(self.mean) / self.error, self.freedom))

    def p_outside(self, margin: float) -> float:
        """Of the hypothesis that the true value is at least ``margin`` from 0 (two one-sided tests, Schuirmann 1987)."""
        if not self.known:
            return math.nan
        if self.error == 0:
            return 0.0 if abs(self.mean) < margin else 1.0
        nearest = margin - abs(self.mean)
        return float(stats.t.sf(nearest / self.error, self.freedom))


def combine(
    values: Sequence[Sequence[float]], image_variances: Sequence[float] = (), images: Sequence[int] = ()
) -> Estimate:
    """The mean over data sets of means over seeds.

    Args:
        values: Per data set its values by seed; data sets may have different numbers of seeds.
        image_variances: Per data set the variance of its mean over seeds that comes from the images (see
            ``image_covariance``); empty leaves the images out.
        images: Per data set the number of independent images, or drawings.
    """
    datasets = [np.asarray(by_seed, dtype=float) for by_seed in values]
    if not datasets or any(len(by_seed) == 0 or not np.isfinite(by_seed).all() for by_seed in datasets):
        return Estimate(math.nan)
    mean = float(np.mean([by_seed.mean() for by_seed in datasets]))
    if any(len(by_seed) < 2 for by_seed in datasets):
        return Estimate(mean)
    share = len(datasets) ** -2
    parts = [(share * by_seed.var(ddof=1) / len(by_seed), len(by_seed) - 1) for by_seed in datasets]
    parts += [(share * v, max(1, n - 1)) for v, n in zip(image_variances, images, strict=True) if math.isfinite(v)]
    variance = sum(part for part, _ in parts)
    if variance == 0:
        return Estimate(mean, 0.0, float(sum(freedom for _, freedom in parts)))
    freedom = variance**2 / sum(part**2 / freedom for part, freedom in parts)
    return Estimate(mean, math.sqrt(variance), freedom)


def family_confidence(count: int) -> float:
    """Of each of ``count`` intervals that all cover at the same time in 95 % of cases (Bonferroni)."""
    return 1 - ERROR_RATE / max(1, count)


def ratio_interval(
    top: Estimate, bottom: Estimate, covariance: float, confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """Interval of a ratio of two means (Fieller 1954); infinite where the denominator may be 0.

    Args:
        top: The numerator.
        bottom: The denominator.
        covariance: Of the two means.
    """
    if not (top.known and bottom.known):
        return math.nan, math.nan
    quantile = float(stats.t.ppf(0.5 + confidence / 2, min(top.freedom, bottom.freedom)))
    a = bottom.mean**2 - (quantile * bottom.error) ** 2
    b = top.mean * bottom.mean - quantile**2 * covariance
    c = top.mean**2 - (quantile * top.error) ** 2
    inside = b**2 - a * c
    if a <= 0 or inside < 0:
        return -math.inf, math.inf
    return (b - math.sqrt(inside)) / a, (b + math.sqrt(inside)) / a


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values corrected for multiple testing (Holm 1979): the k-th smallest of m times m - k + 1, made monotone, at most 1.
    NaN stays NaN and is not counted. (The version in statsmodels runs the garbage collector at every call, for 0.25 s.)
    """
    corrected, highest = [math.nan] * len(p_values), 0.0
    known = sorted((index for index, p in enumerate(p_values) if math.isfinite(p)), key=lambda index: p_values[index])
    for smaller, index in enumerate(known):
        highest = max(highest, min(1.0, (len(known) - smaller) * p_values[index]))
        corrected[index] = highest
    return corrected


def ranks(differences: dict[tuple[int, int], Estimate], count: int) -> list[tuple[int, int]]:
    """Best and worst rank of each of ``count`` methods: 1 plus the number of methods that are significantly better, and
    ``count`` minus the number of those that are significantly worse.

    Args:
        differences: For (i, j) with i < j the difference i - j. The family-wise error rate is 5 % (Holm).
        count: Number of methods.
    """
    keys = list(differences)
    corrected = holm([differences[key].p_value() for key in keys])
    better, worse = [0] * count, [0] * count
    for (i, j), p in zip(keys, corrected, strict=True):
        if math.isfinite(p) and p < ERROR_RATE:
            first, second = (i, j) if differences[i, j].mean > 0 else (j, i)
            better[second] += 1
            worse[first] += 1
    return [(1 + better[i], count - worse[i]) for i in range(count)]
