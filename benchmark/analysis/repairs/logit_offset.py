"""Adds to the new backbone's scores what the module adds to the old one's."""

from __future__ import annotations

import torch

from benchmark.analysis.repair_base import OLD_BACKBONE, Case, Repair, Repaired
from benchmark.data.dataset import TestSet


class LogitOffset(Repair):
    """z = z_new + (z_old with the module - z_old), with each backbone's own logit scale.

    Source: emulated fine-tuning (Mitchell et al. 2023) and proxy tuning (Liu et al. 2024), equation 1, with a factor of 1; a
    baseline of TransMiter.
    """

    name, title, effort = "logit-offset", "logit offset", 33
    keeps = OLD_BACKBONE

    def apply(self, case: Case) -> Repaired:
        parts = (case.zero_shot(case.new), case.kept, case.zero_shot(case.old))

        def score(test: TestSet) -> torch.Tensor | None:
            new, tuned, old = (part(test) for part in parts)
            if new is None or tuned is None or old is None:
                return None
            return new + (tuned - old)

        return Repaired(score)
