"""Predictions of an attached method on test examples."""

from __future__ import annotations

import numpy as np
import torch

from benchmark.features import CHUNK, Bank
from benchmark.method import Method
from benchmark.training import Diverged, Precision, autocast


def predict(method: Method, bank: Bank, precision: Precision = "fp32") -> np.ndarray:
    """Predicted labels (N,) uint16 of a bank's plain images.

    Raises:
        Diverged: a score is not finite.
    """
    method.eval()
    predictions = []
    with torch.no_grad(), autocast(method.backbone.device, precision):
        for start in range(0, len(bank), CHUNK):
            rows = torch.arange(start, min(start + CHUNK, len(bank)), device=bank.labels.device)
            logits = method.logits(bank.batch(rows, torch.zeros_like(rows))).float()
            if not torch.isfinite(logits).all():
                raise Diverged("a score is NaN or infinite")
            predictions.append(logits.argmax(1).cpu())
    return torch.cat(predictions).numpy().astype(np.uint16)


def accuracy(predictions: np.ndarray, labels: np.ndarray) -> float:
    """Share of right predictions in per cent."""
    return float(100.0 * np.mean(predictions == labels))
