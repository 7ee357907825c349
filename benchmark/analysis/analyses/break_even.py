"""Break-even: how many steps, and how many images of each class, of retraining on the new backbone equal simple reuse.

Retraining is repeated for each number of steps (with its own schedule) at full shots, and for each number of shots at full
steps. All steps are the method's own with the old backbone's settings. Zero steps are zero-shot.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from benchmark.analysis.base import Analysis
from benchmark.analysis.study import Study, gap, mean
from benchmark.experiment.plan import Configuration, Plan
from benchmark.results.paired import Outcome

STEPS, SHOTS = (5, 20, 100), (1, 4)
"""What is tried besides the full budget; only fewer steps than a method's own number."""


class BreakEven(Analysis):
    """How many steps, and how many images of each class, of retraining on the new backbone equal simple reuse."""

    name = "break-even"
    title = "Break-even with retraining"
    question = "How much retraining on the new backbone equals simple reuse?"
    explains = False
    text_columns = ("pair", "method", "title", "budget", "full", "status", "reason")
    """``budget`` is steps or shots; ``full`` marks the full budget."""
    flag_columns = ("full",)
    number_columns = tuple("amount accuracy reuse zs_new over_reuse over_reuse_low over_reuse_high".split())
    """``over_reuse`` is retraining minus reuse."""

    def run(self, study: Study, settings: Any) -> pd.DataFrame:
        full = study.plan(study.pairs, [study.zero_shot, *study.competing], retrain=True)
        news = [(new, new) for new in dict.fromkeys(new for _, new in study.pairs)]
        study.compute("modules of both backbones", full.jobs)
        steps = {_key(configuration): own_steps(study, full, configuration) for configuration in study.competing}
        cuts = [cut for configuration in study.competing for cut, _ in shortened(configuration, steps[_key(configuration)])]
        short = study.plan(news, cuts)
        shots = [count for count in SHOTS if count < study.tasks()[0].shots]
        few = {count: study.plan(news, study.competing, count) for count in shots}
        study.compute("retraining with smaller budgets", [job for plan in (short, *few.values()) for job in plan.jobs])
        rows = []
        for old, new in study.pairs:
            zero = study.find(full, study.zero_shot, old, new)
            for configuration in study.competing:
                reuse = study.find(full, configuration, old, new)
                same: dict[str, object] = {"pair": f"{old}->{new}", "method": configuration.method}
                same |= {"title": study.title(configuration), "reuse": mean(reuse), "zs_new": mean(zero)}
                points = _curve(configuration, steps[_key(configuration)], full, short, few)
                for budget, amount, whole, plan, chosen in points:
                    outcome = zero if plan is None else study.find(plan, chosen, new, new)
                    cells = [] if plan is None else [plan.find(chosen, task, new, new) for task in plan.tasks]
                    rows.append(same | _values(outcome, reuse, budget, amount, whole, study.why(cells)))
        return pd.DataFrame(rows)

    def overview(self, table: pd.DataFrame) -> tuple[str, pd.DataFrame]:
        wide = table.pivot_table(index=["budget", "amount"], columns="pair", values="over_reuse", aggfunc="mean", sort=True)
        return "H of retraining minus reuse, points, mean over methods", wide.round(1)


def _key(configuration: Configuration) -> tuple[str, str]:
    return configuration.method, configuration.label


def shortened(configuration: Configuration, own: int) -> list[tuple[Configuration, int]]:
    """The configuration with fewer steps than its ``own``, for each number that is fewer."""
    return [(configuration.with_steps(count), count) for count in STEPS if count < own]


def own_steps(study: Study, plan: Plan, configuration: Configuration) -> int:
    """Gradient steps that a method took when it was trained; 0 if it takes none, or was not trained."""
    jobs = [job for job in plan.jobs if job.train.configuration == configuration]
    records = [study.session.store.record(job.train.key) or {} for job in jobs]
    return max((int(record.get("steps") or 0) for record in records), default=0)


Point = tuple[str, int, bool, Plan | None, Configuration]
"""(budget, amount, whether it is the full budget, plan that holds its cells or None for zero-shot, configuration)."""


def _curve(configuration: Configuration, own: int, full: Plan, short: Plan, few: dict[int, Plan]) -> Iterator[Point]:
    if own:
        yield "steps", 0, False, None, configuration
        for cut, count in shortened(configuration, own):
            yield "steps", count, False, short, cut
        yield "steps", own, True, full, configuration
    yield "shots", 0, False, None, configuration
    for count, plan in few.items():
        yield "shots", count, False, plan, configuration
    yield "shots", next(iter(full.tasks.values())).shots, True, full, configuration


def _values(
    outcome: Outcome | None, reuse: Outcome | None, budget: str, amount: int, whole: bool, why: tuple[str, str]
) -> dict[str, object]:
    over, low, high = gap(outcome, reuse)
    return {
        "budget": budget,
        "amount": amount,
        "full": str(whole),
        "accuracy": mean(outcome),
        "over_reuse": over,
        "over_reuse_low": low,
        "over_reuse_high": high,
        "status": why[0],
        "reason": why[1],
    }
