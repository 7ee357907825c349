"""Depth: the same module inserted at one layer after another, trained on the old backbone and reused on the new one.

The methods say which of their settings place them (``Method.depths``): a learnt prompt before text layer 0, 1, ..., LoRA in
the lower, middle or upper layers. Source: Wang et al. 2024, who find that a prompt loses more the deeper it is inserted.
"""

from __future__ import annotations

import argparse

import pandas as pd

from benchmark.analysis.study import Setting, gap, mean, summed
from benchmark.config.errors import UserError
from benchmark.experiment.plan import Configuration, Plan

COLUMNS = (
    "pair method title order place old reuse zs_old zs_new lift lift_low lift_high change change_low change_high "
    "status reason".split()
)
"""``change`` is reuse less old, less the same of zero-shot: what it did to the module beyond what it did to CLIP."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """No options of its own."""


def run(setting: Setting, options: argparse.Namespace) -> pd.DataFrame:
    """Lift at every depth, for every method that has a setting for it."""
    configurations = _configurations(setting, everything=options.methods is None)
    made = setting.plan(setting.pairs, [setting.zero_shot, *(configuration for configuration, _, _ in configurations)])
    setting.compute("modules at every depth, on the old backbone and reused", made.jobs)
    rows = [
        _row(setting, made, pair, configuration, order, place)
        for pair in setting.pairs
        for configuration, order, place in configurations
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _configurations(setting: Setting, *, everything: bool) -> list[tuple[Configuration, int, str]]:
    """(configuration, number of its depth, what to call it). Unless methods were named, all that have depths."""
    backbone = setting.backbone(setting.pairs[0][0])
    names = list(setting.methods.plugins) if everything else [configuration.method for configuration in setting.contestants]
    found = []
    for name in names:
        for order, changes in enumerate(setting.methods[name].cls.depths(backbone)):
            place = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in changes.items())
            label = ",".join(f"{key}={value}" for key, value in changes.items())
            found.append((Configuration(name, label, changes), order, place))
    if not found:
        known = [name for name, plugin in setting.methods.plugins.items() if plugin.cls.depths(backbone)]
        raise UserError("none of these methods has a setting for its depth", fix=f"name one of {', '.join(known)}")
    return found


def _row(
    setting: Setting, made: Plan, pair: tuple[str, str], configuration: Configuration, order: int, place: str
) -> dict[str, object]:
    old, new = pair
    before, after = setting.find(made, configuration, old, old), setting.find(made, configuration, old, new)
    zeros = [setting.find(made, setting.zero_shot, old, on) for on in (old, new)]
    cells = [made.find(configuration, task, old, on) for task in made.tasks for on in (old, new)]
    status, reason = setting.why(cells)
    lift, lift_low, lift_high = gap(after, zeros[1])
    # The four sides share their images and seeds, so the two lifts are compared seed by seed and image by image.
    change, change_low, change_high = summed([(1, after), (-1, zeros[1]), (-1, before), (1, zeros[0])])
    return {
        "pair": f"{old}->{new}",
        "method": configuration.method,
        "title": setting.title(configuration),
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
