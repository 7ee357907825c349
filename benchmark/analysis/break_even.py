"""Break-even: how many steps, and how many images of each class, of retraining on the new backbone equal simple reuse.

Retraining is run anew for each number of steps (with its own schedule) at full shots, and for each number of shots at full
steps. All steps are the method's own with the old backbone's settings. Zero steps are zero-shot.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import pandas as pd

from benchmark.analysis.study import Setting, gap, mean
from benchmark.experiment.plan import Configuration, Plan
from benchmark.results.paired import Outcome

STEPS, SHOTS = (5, 20, 100), (1, 4)
"""What is tried beside the full budget; steps only below a method's own number."""

COLUMNS = (
    "pair method title budget amount full accuracy reuse zs_new over_reuse over_reuse_low over_reuse_high "
    "status reason".split()
)
"""``budget`` is steps or shots, ``amount`` how many, ``full`` marks the whole of it; ``over_reuse`` is retraining less
reuse."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """No options of its own."""


def run(setting: Setting, options: argparse.Namespace) -> pd.DataFrame:
    """Retraining by budget, beside reuse."""
    configurations = [setting.zero_shot, *setting.contestants]
    full = setting.plan(setting.pairs, configurations, retrain=True)
    news = [(new, new) for new in dict.fromkeys(new for _, new in setting.pairs)]
    setting.compute("modules of both backbones", full.jobs)
    own = {_key(configuration): own_steps(setting, full, configuration) for configuration in setting.contestants}
    short = setting.plan(
        news, [cut for configuration in setting.contestants for cut, _ in shortened(configuration, own[_key(configuration)])]
    )
    shots = [count for count in SHOTS if count < setting.tasks()[0].shots]
    few = {count: setting.plan(news, setting.contestants, count) for count in shots}
    setting.compute("retraining with less", [job for made in (short, *few.values()) for job in made.jobs])
    rows = []
    for old, new in setting.pairs:
        zero = setting.find(full, setting.zero_shot, old, new)
        for configuration in setting.contestants:
            reuse = setting.find(full, configuration, old, new)
            same: dict[str, object] = {
                "pair": f"{old}->{new}",
                "method": configuration.method,
                "title": setting.title(configuration),
            }
            same |= {"reuse": mean(reuse), "zs_new": mean(zero)}
            for budget, amount, whole, made, chosen in _curve(configuration, own[_key(configuration)], full, short, few):
                found = zero if made is None else setting.find(made, chosen, new, new)
                cells = [] if made is None else [made.find(chosen, task, new, new) for task in made.tasks]
                rows.append(same | _figures(found, reuse, budget, amount, whole, setting.why(cells)))
    return pd.DataFrame(rows, columns=COLUMNS)


def _key(configuration: Configuration) -> tuple[str, str]:
    return configuration.method, configuration.label


def shortened(configuration: Configuration, own: int) -> list[tuple[Configuration, int]]:
    """The configuration with fewer steps than its ``own``, for each number that is fewer."""
    return [
        (
            Configuration(
                configuration.method, f"{configuration.label},steps={count}", {**configuration.changes, "steps": count}
            ),
            count,
        )
        for count in STEPS
        if count < own
    ]


def own_steps(setting: Setting, made: Plan, configuration: Configuration) -> int:
    """Gradient steps that a method took when it was trained; 0 if it takes none, or was not trained."""
    jobs = [job for job in made.jobs if job.train.configuration == configuration]
    records = [setting.session.store.record(job.train.key) or {} for job in jobs]
    return max((int(record.get("steps") or 0) for record in records), default=0)


Point = tuple[str, int, bool, Plan | None, Configuration]
"""(budget, amount, whether it is all, plan that holds its cells or None for zero-shot, configuration)."""


def _curve(configuration: Configuration, own: int, full: Plan, short: Plan, few: dict[int, Plan]) -> Iterator[Point]:
    if own:
        yield "steps", 0, False, None, configuration
        for cut, count in shortened(configuration, own):
            yield "steps", count, False, short, cut
        yield "steps", own, True, full, configuration
    yield "shots", 0, False, None, configuration
    for count, made in few.items():
        yield "shots", count, False, made, configuration
    yield "shots", next(iter(full.tasks.values())).shots, True, full, configuration


def _figures(
    found: Outcome | None, reuse: Outcome | None, budget: str, amount: int, whole: bool, why: tuple[str, str]
) -> dict[str, object]:
    over, low, high = gap(found, reuse)
    return {
        "budget": budget,
        "amount": amount,
        "full": whole,
        "accuracy": mean(found),
        "over_reuse": over,
        "over_reuse_low": low,
        "over_reuse_high": high,
        "status": why[0],
        "reason": why[1],
    }
