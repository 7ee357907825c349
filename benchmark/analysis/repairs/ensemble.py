"""Averages the probabilities of the reused module and of zero-shot."""

from __future__ import annotations

from benchmark.analysis.repair_base import Case, Repair, Repaired, mixed


class Ensemble(Repair):
    """Probabilities of the reused module and of zero-shot are averaged, weighted by held-out images (``mixed``)."""

    name, title, effort = "ensemble", "ensemble with zero-shot", 10
    version = 2

    def apply(self, case: Case) -> Repaired:
        return mixed(case, case.reused, case.zero_shot(case.new))
