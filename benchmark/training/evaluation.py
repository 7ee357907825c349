"""Predictions of an attached method on test examples."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from benchmark.backbones.clip import Backbone
from benchmark.data.batch import ClassList, FewShots
from benchmark.data.features import CHUNK, Bank
from benchmark.method.base import Method
from benchmark.training.loop import Diverged, Precision, autocast


def scores(
    method: Method, bank: Bank, precision: Precision = "fp32", columns: Sequence[int] | None = None
) -> Iterator[torch.Tensor]:
    """Scores (B, C) of a bank's plain images, batch by batch; of the classes at ``columns`` if given.

    Raises:
        Diverged: a score is not finite.
    """
    method.eval()
    with torch.no_grad(), autocast(method.backbone.device, precision):
        for start in range(0, len(bank), CHUNK):
            rows = torch.arange(start, min(start + CHUNK, len(bank)), device=bank.labels.device)
            logits = method.logits(bank.batch(rows, torch.zeros_like(rows))).float()
            if columns is not None:
                logits = logits[:, list(columns)]
            if not torch.isfinite(logits).all():
                raise Diverged("a score is NaN or infinite")
            yield logits


def predict_with_confidence(
    method: Method, bank: Bank, precision: Precision = "fp32", columns: Sequence[int] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Predicted labels (N,) uint16 of a bank's plain images, and the largest of each one's probabilities (N,).

    Raises:
        Diverged: a score is not finite.
    """
    found = [(each.argmax(1).cpu(), each.softmax(1).amax(1).cpu()) for each in scores(method, bank, precision, columns)]
    labels, sure = (torch.cat(parts) for parts in zip(*found, strict=True))
    return labels.numpy().astype(np.uint16), sure.numpy()


def predict(method: Method, bank: Bank, precision: Precision = "fp32", columns: Sequence[int] | None = None) -> np.ndarray:
    """The labels of ``predict_with_confidence``."""
    return predict_with_confidence(method, bank, precision, columns)[0]


def accuracy(predictions: np.ndarray, labels: np.ndarray) -> float:
    """Share of right predictions in per cent."""
    return float(100.0 * np.mean(predictions == labels))


def places(names: Sequence[str], among: Sequence[str]) -> list[int] | None:
    """Where ``names`` stand in another class list, the n-th of a name for its n-th there; None if any is not in it."""
    left = defaultdict(list)
    for place, name in enumerate(among):
        left[name].append(place)
    return [left[name].pop(0) for name in names] if not Counter(names) - Counter(among) else None


def attach(
    cls: type[Method],
    config: Any,
    backbone: Backbone,
    classes: ClassList,
    tensors: dict[str, torch.Tensor],
    few_shots: FewShots | None = None,
) -> Method:
    """Bind a module to a backbone and a class list: build everything that is derived, then load what was learnt.

    Raises:
        Incompatible: the module does not fit.
    """
    method = cls(config, backbone, classes, few_shots)
    method.load(tensors)
    return method.eval()  # type: ignore[return-value]
