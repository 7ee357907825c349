"""Averages the probabilities of the reused module and of zero-shot."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from benchmark.analysis.repair_base import Case, Repair, Repaired
from benchmark.training.modules import all_scores, zero_shot_of


class Ensemble(Repair):
    """Probabilities of the reused module and of zero-shot are averaged. The weight is the one with the smallest log loss on
    held-out images of the training classes, or one half if the data set has none."""

    name, title, effort = "ensemble", "ensemble with zero-shot", 10
    shares = tuple(i / 10 for i in range(11))

    def apply(self, case: Case) -> Repaired:
        held_out, classes = case.task.val, case.task.class_list()
        method = case.attach(classes)
        if not len(held_out):
            return Repaired(case.module.tensors, 0.5, notes={"chosen": "no held-out images"})
        labels = torch.tensor(held_out.labels)
        reused, zero_shot = (
            all_scores(predictor, held_out, case.features, case.precision).softmax(1)
            for predictor in (method, zero_shot_of(case.new, classes))
        )
        losses = [
            float(F.nll_loss(((1 - share) * reused + share * zero_shot).clamp_min(1e-12).log(), labels))
            for share in self.shares
        ]
        best = self.shares[int(np.argmin(losses))]
        return Repaired(case.module.tensors, best, images=len(labels), labels=len(labels))
