"""Predictions of an attached method on test examples."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from benchmark.backbones.precision import Precision
from benchmark.data.features import CHUNK, Bank
from benchmark.method.base import Method
from benchmark.training.loop import Diverged


@dataclass(frozen=True, eq=False)
class Predictions:
    """What is known of the images of a test set; N images."""

    labels: np.ndarray
    """(N,) the true ones."""
    predicted: np.ndarray
    """(N,) labels."""
    confidences: np.ndarray | None = None
    """(N,) the largest probability of each image, 0 to 1; None in results of early versions."""
    before: np.ndarray | None = None
    """(N,) what the same module predicted on the old backbone; None except for reuse."""

    @property
    def accuracy(self) -> float:
        """In per cent."""
        return accuracy(self.predicted, self.labels)

    @property
    def right(self) -> np.ndarray:
        """(N,) bool."""
        return self.predicted == self.labels

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def pooled(cls, parts: Sequence[Predictions]) -> Predictions:
        """The images of several test sets together; labels of different sets are told apart."""
        offsets = np.cumsum(
            [0, *(1 + max(part.labels.max(initial=0), part.predicted.max(initial=0)) for part in parts[:-1])]
        )

        def joined(name: str, offset: bool) -> np.ndarray | None:
            arrays = [getattr(part, name) for part in parts]
            if any(array is None for array in arrays):
                return None
            return np.concatenate([a.astype(np.int64) + o if offset else a for a, o in zip(arrays, offsets, strict=True)])

        labels, predicted = joined("labels", True), joined("predicted", True)
        assert labels is not None
        assert predicted is not None
        return cls(labels, predicted, joined("confidences", False), joined("before", True))


def scores(
    method: Method, bank: Bank, precision: Precision = "fp32", columns: Sequence[int] | None = None
) -> Iterator[torch.Tensor]:
    """Scores (B, C) of a bank's plain images, batch by batch; of the classes at ``columns`` if given.

    Raises:
        Diverged: a score is not finite.
    """
    method.eval()
    with torch.no_grad(), method.backbone.computing_in(precision):
        for start in range(0, len(bank), CHUNK):
            rows = torch.arange(start, min(start + CHUNK, len(bank)), device=bank.labels.device)
            logits = method.logits(bank.batch(rows, torch.zeros_like(rows))).float()
            if columns is not None:
                logits = logits[:, list(columns)]
            if not torch.isfinite(logits).all():
                raise Diverged("a score is NaN or infinite")
            yield logits


def predict(method: Method, bank: Bank, precision: Precision = "fp32") -> np.ndarray:
    """Predicted labels (N,) uint16 of a bank's plain images.

    Raises:
        Diverged: a score is not finite.
    """
    labels: np.ndarray = torch.cat([logits.argmax(1).cpu() for logits in scores(method, bank, precision)]).numpy()
    return labels.astype(np.uint16)


def accuracy(predictions: np.ndarray, labels: np.ndarray) -> float:
    """Share of right predictions in per cent."""
    return float(100.0 * np.mean(predictions == labels))


def columns_of(names: Sequence[str], among: Sequence[str]) -> list[int] | None:
    """The places of ``names`` in another class list, the n-th of equal names at its n-th there; None if one is not in it."""
    left = defaultdict(list)
    for place, name in enumerate(among):
        left[name].append(place)
    return [left[name].pop(0) for name in names] if not Counter(names) - Counter(among) else None
