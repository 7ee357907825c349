"""Depth: the same module inserted at one layer after another, trained on the old backbone and reused on the new one.

The methods say which of their settings place them (``Method.depths``): a learnt prompt before text layer 0, 1, ..., LoRA in
the lower, middle or upper layers. Source: Wang et al. 2024, who find that a prompt loses more the deeper it is inserted.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from benchmark.analysis.base import Analysis
from benchmark.analysis.study import Study, gap, mean, summed
from benchmark.config.errors import UserError
from benchmark.experiment.plan import Configuration, Plan


class Depth(Analysis):
    """The same module inserted at one layer after another, trained on the old backbone and reused on the new one."""

    name = "depth"
    title = "Depth of the module"
    question = "Does a module that learns deeper lose more on the new backbone?"
    explains = True
    text_columns = ("pair", "method", "title", "place", "status", "reason")
    number_columns = tuple("order old reuse zs_old zs_new lift lift_low lift_high change change_low change_high".split())
    """``change`` is the lift on the new backbone minus the lift on the old one: what the upgrade did to the module beyond
    what it did to CLIP."""

    def run(self, study: Study, settings: Any) -> pd.DataFrame:
        placed = _configurations(study, everything=not study.methods_named)
        plan = study.plan(study.pairs, [study.zero_shot, *(configuration for configuration, _, _ in placed)])
        study.compute("modules at every depth, on the old backbone and reused", plan.jobs)
        rows = [_row(study, plan, pair, *placement) for pair in study.pairs for placement in placed]
        return pd.DataFrame(rows)

    def overview(self, table: pd.DataFrame) -> tuple[str, pd.DataFrame]:
        wide = table.pivot_table(index=["method", "order", "place"], columns="pair", values="change", sort=True)
        return "change of lift in H from old to new, points", wide.droplevel("order").round(1)


def _configurations(study: Study, *, everything: bool) -> list[tuple[Configuration, int, str]]:
    """(configuration, number of its depth, what to call it). Unless methods were named, all that have depths."""
    backbone = study.backbone(study.pairs[0][0])
    names = list(study.methods.plugins) if everything else [configuration.method for configuration in study.competing]
    configurations = []
    for name in names:
        for order, changes in enumerate(study.methods[name].cls.depths(backbone)):
            place = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in changes.items())
            label = ",".join(f"{key}={value}" for key, value in changes.items())
            configurations.append((Configuration(name, label, changes), order, place))
    if not configurations:
        known = [name for name, plugin in study.methods.plugins.items() if plugin.cls.depths(backbone)]
        raise UserError("none of these methods has a setting for its depth", fix=f"name one of {', '.join(known)}")
    return configurations


def _row(
    study: Study, plan: Plan, pair: tuple[str, str], configuration: Configuration, order: int, place: str
) -> dict[str, object]:
    old, new = pair
    before, after = study.find(plan, configuration, old, old), study.find(plan, configuration, old, new)
    zeros = [study.find(plan, study.zero_shot, old, on) for on in (old, new)]
    cells = [plan.find(configuration, task, old, on) for task in plan.tasks for on in (old, new)]
    status, reason = study.why(cells)
    lift, lift_low, lift_high = gap(after, zeros[1])
    # The four sides share their images and seeds, so the two lifts are compared seed by seed and image by image.
    change, change_low, change_high = summed([(1, after), (-1, zeros[1]), (-1, before), (1, zeros[0])])
    return {
        "pair": f"{old}->{new}",
        "method": configuration.method,
        "title": study.title(configuration),
        "order": order,
        "place": place,
        "old": mean(before),
        "reuse": mean(after),
        "zs_old": mean(zeros[0]),
        "zs_new": mean(zeros[1]),
        "lift": lift,
        "lift_low": lift_low,
        "lift_high": lift_high,
        "change": change,
        "change_low": change_low,
        "change_high": change_high,
        "status": status,
        "reason": reason,
    }
