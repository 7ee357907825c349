"""Figures of predictions: harmonic mean, flips, calibration. All but confidences are in per cent."""

from __future__ import annotations

import numpy as np

BINS = 15
"""Of confidence, equally wide (Guo et al. 2017, section 4)."""


def harmonic_mean(base: float, new: float) -> float:
    """H = 2 base new / (base + new); 0 where both are 0 (CoCoOp, section 4.1)."""
    return 0.0 if base + new == 0 else 2 * base * new / (base + new)


def flips(before: np.ndarray, after: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """(negative, positive) flip rates in per cent of all images: right before and wrong after, and the reverse.

    Source: Yan et al. 2021, "Positive-Congruent Training", equation 1.
    """
    was, now = before == labels, after == labels
    return float(100 * np.mean(was & ~now)), float(100 * np.mean(~was & now))


def calibration_error(confidences: np.ndarray, right: np.ndarray) -> float:
    """Expected calibration error in per cent: over bins of confidence, the mean gap of confidence and accuracy, weighted by
    the images in each bin. With few images in a bin it is biased upwards.

    Args:
        confidences: (N,) largest probability of each image, 0 to 1.
        right: (N,) whether its prediction is right.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", equation 3.
    """
    sure = confidences.astype(np.float64)
    bins = np.clip(np.ceil(sure * BINS).astype(int) - 1, 0, BINS - 1)  # each bin holds its upper bound
    gaps = np.bincount(bins, weights=right - sure, minlength=BINS)
    return float(100 * np.abs(gaps).sum() / len(sure))
