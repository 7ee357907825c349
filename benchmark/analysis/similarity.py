"""Similarity of two sets of features or parameters: 1 (change: 0) if they are identical."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch.nn import functional as F


def linear_cka(one: torch.Tensor, other: torch.Tensor) -> float:
    """Linear centred kernel alignment of features of the same N items, in 64 bits; invariant to rotation and scale.

    HSIC is estimated without bias: the usual estimate for two unrelated sets of features is far above 0 unless
    there are many more items than dimensions. The value can therefore be slightly negative. It is 1 for identical features,
    and NaN for fewer than four items or features that do not vary.

    Args:
        one: (N, a).
        other: (N, b).

    Source: Kornblith et al. 2019, "Similarity of Neural Network Representations Revisited", equation 4; Song et al. 2012,
    "Feature Selection via Dependence Maximization", equation 5, for the estimator.
    """
    if len(one) != len(other):
        raise ValueError(f"{len(one)} items cannot be compared with {len(other)}")
    if len(one) < 4:
        return math.nan
    first, second = (_gram(features) for features in (one, other))
    own, others = _hsic(first, first), _hsic(second, second)
    if own <= 0 or others <= 0:
        return math.nan
    return _hsic(first, second) / math.sqrt(own * others)


def _gram(features: torch.Tensor) -> torch.Tensor:
    """Inner products of centred features, without those of an item with itself."""
    x = features.double()
    x = x - x.mean(0)
    gram = x @ x.T
    return gram - torch.diag(torch.diag(gram))


def _hsic(one: torch.Tensor, other: torch.Tensor) -> float:
    n = len(one)
    whole = one.sum() * other.sum() / ((n - 1) * (n - 2))
    rows = 2 * one.sum(0) @ other.sum(0) / (n - 2)
    return float(((one * other).sum() + whole - rows) / (n * (n - 3)))


def cosine(one: torch.Tensor, other: torch.Tensor) -> float:
    """Mean cosine of features of the same items, (N, a) each; NaN where their widths differ."""
    if one.shape != other.shape:
        return math.nan
    return float(F.cosine_similarity(one.double(), other.double(), dim=1).mean())


def relative_change(old: Mapping[str, torch.Tensor], new: Mapping[str, torch.Tensor]) -> float:
    """|W' - W| / |W| over all tensors together (Frobenius); NaN where names or shapes differ."""
    if not old or {name: value.shape for name, value in old.items()} != {name: value.shape for name, value in new.items()}:
        return math.nan
    moved = sum(float((new[name].double() - value.double()).square().sum()) for name, value in old.items())
    size = sum(float(value.double().square().sum()) for value in old.values())
    return math.sqrt(moved / size) if size else math.nan
