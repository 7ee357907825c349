"""Runs both backbones: the old one with its module and the new one without."""

from __future__ import annotations

from benchmark.analysis.repair_base import OLD_BACKBONE, Case, Repair, Repaired, mixed
from benchmark.training.scoring import mixture


class Both(Repair):
    """Probabilities of the old backbone with its module and of the new one without are averaged with equal weights. Ours.
    Widths may differ; the cost is a second backbone."""

    name, title, effort = "both", "both backbones", 30
    keeps = OLD_BACKBONE
    trusted = True

    def apply(self, case: Case) -> Repaired:
        return Repaired(mixture([(0.5, case.kept), (0.5, case.zero_shot(case.new))]))


class BothWeighted(Both):
    """The weight is chosen on held-out images (``mixed``)."""

    name, title, effort = "both-weighted", "both backbones, weighted", 31
    trusted = False

    def apply(self, case: Case) -> Repaired:
        return mixed(case, case.kept, case.zero_shot(case.new))


class BothZeroShot(Both):
    """Neither has a module: what two backbones bring by themselves."""

    name, title, effort = "both-zero-shot", "both backbones without a module", 32
    control, trusted = True, False

    def apply(self, case: Case) -> Repaired:
        return Repaired(mixture([(0.5, case.zero_shot(case.old)), (0.5, case.zero_shot(case.new))]))
