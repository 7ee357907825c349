"""Repair: what to do when reuse is not enough."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from pydantic import field_validator

from benchmark.analysis.analyses.break_even import own_steps
from benchmark.analysis.base import Analysis
from benchmark.analysis.repair_base import Repair, all_repairs, choose_repairs
from benchmark.analysis.repair_cells import ACTIONS, planned
from benchmark.analysis.study import SPLIT, Study, gap, mean
from benchmark.config.errors import UserError
from benchmark.config.schema import Strict
from benchmark.experiment.plan import Cell, Configuration, Job, Plan
from benchmark.results.paired import Outcome


class Settings(Strict):
    """What ``--set`` may set."""

    repairs: str = ""
    """Names or patterns, separated by commas, of the repairs to try; all but the slow ones if left out."""

    @field_validator("repairs")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            choose_repairs(value.split(",") if value else ())
        except UserError as error:
            raise ValueError(str(error)) from None
        return value

    @property
    def chosen(self) -> Sequence[Repair]:
        """Those repairs, cheapest first."""
        if not self.repairs:
            return [repair for repair in all_repairs() if not repair.slow]
        return choose_repairs(self.repairs.split(","))


class RepairAnalysis(Analysis):
    """Every repair on every module that allows it, next to reuse, retraining, and the same number of steps from scratch,
    with the cost in images, labels, steps and seconds."""

    name = "repair"
    title = "Repair"
    question = "If reuse is not enough, how much do repairs recover, and at what cost?"
    explains = False
    text_columns = ("pair", "method", "title", "repair", "label", "keeps", "control", "status", "reason")
    """``repair`` is stay, reuse, a repair's name, scratch-STEPS or retrain; ``label`` is its readable name; ``keeps`` is
    what stays in use besides the new backbone and the module; ``control`` is as in ``Repair``."""
    flag_columns = ("control",)
    later_columns = {"keeps": "", "control": "False"}
    Settings = Settings
    number_columns = tuple(
        "accuracy reuse zs_new lift lift_low lift_high over_reuse over_reuse_low over_reuse_high images labels steps "
        "seconds seeds".split()
    )
    """``seconds`` is the mean over seeds of the time on this machine, without evaluation."""

    def run(self, study: Study, settings: Any) -> pd.DataFrame:
        repairs = settings.chosen
        full = study.plan(study.pairs, [study.zero_shot, *study.competing], retrain=True)
        study.compute("modules of both backbones", full.jobs)
        news = [(new, new) for new in dict.fromkeys(new for _, new in study.pairs)]
        cuts = {
            (configuration.method, steps): configuration.with_steps(steps)
            for configuration in study.competing
            for steps in sorted({repair.steps for repair in repairs if repair.steps})
            if steps <= own_steps(study, full, configuration)
        }
        scratch = study.plan(news, list(cuts.values()))
        study.compute("trainings from scratch with fewer steps", scratch.jobs)
        jobs = [job for pair in study.pairs for job in _jobs(study, full, cuts, pair, repairs)]
        study.compute("repairs", jobs, ACTIONS)
        cells = {job.train.key + cell.backbone + str(cell.config["strategy"]): cell for job in jobs for cell in job.evals}
        book = _Book(study, full, scratch, cuts, cells, repairs)
        return pd.DataFrame([row for pair in study.pairs for method in study.competing for row in book.rows(pair, method)])

    def overview(self, table: pd.DataFrame) -> tuple[str, pd.DataFrame]:
        order = list(dict.fromkeys(table.label))
        wide = table.pivot_table(index="label", columns="pair", values="over_reuse", aggfunc="mean").reindex(order)
        return "H minus plain reuse, points, mean over the methods that have both", wide.round(1)


def _jobs(
    study: Study,
    full: Plan,
    cuts: Mapping[tuple[str, int], Configuration],
    pair: tuple[str, str],
    repairs: Sequence[Repair],
) -> Iterator[Job]:
    """One job for each module and new backbone: the training, which is done, and its repairs."""
    old, new = pair
    digests = {facts.name: facts.digest for facts in study.session.backbones}
    for job in full.jobs:
        configuration = job.train.configuration
        if job.train.backbone != old or configuration.method == study.baseline:
            continue
        target = next(cell for cell in job.evals if cell.backbone == new)
        cells = []
        for repair in repairs:
            steps = repair.steps
            if steps and (configuration.method, steps) not in cuts:
                continue  # its whole retraining takes fewer steps
            cells.append(planned(repair).cell(target, digests[old]))
        yield Job(job.train, tuple(cells))


@dataclass
class _Book:
    """Finished cells, by what they were computed for."""

    study: Study
    full: Plan
    scratch: Plan
    cuts: Mapping[tuple[str, int], Configuration]
    cells: Mapping[str, Cell]
    """Of the repairs."""
    repairs: Sequence[Repair]

    def rows(self, pair: tuple[str, str], configuration: Configuration) -> Iterator[dict[str, object]]:
        """Rows of one method on one pair, cheapest repair first."""
        old, new = pair
        for name, label, on in (("stay", "stay on the old backbone", old), ("reuse", "reuse", new)):
            cells = [self.full.find(configuration, task, old, on) for task in self.full.tasks]
            yield self._row(pair, configuration, name, label, cells, [])
        trainings = {job.train.task: job.train for job in self.full.jobs if self._is(job, configuration, old)}
        for repair in self.repairs:
            keys = [trainings[task].key + new + repair.name for task in self.full.tasks]
            if all(key in self.cells for key in keys):
                made = [self.cells[key] for key in keys]
                yield self._row(pair, configuration, repair.name, repair.title, made, made) | {
                    "keeps": repair.keeps,
                    "control": repair.control,
                }
            steps = repair.steps
            cut = self.cuts.get((configuration.method, steps))
            if cut is not None:
                yield self._trained(
                    pair, configuration, f"scratch-{steps}", f"from scratch, {steps} steps", self.scratch, cut
                )
        yield self._trained(pair, configuration, "retrain", "retrain", self.full, configuration)

    def _is(self, job: Job, configuration: Configuration, backbone: str) -> bool:
        return job.train.configuration == configuration and job.train.backbone == backbone

    def _trained(
        self,
        pair: tuple[str, str],
        configuration: Configuration,
        strategy: str,
        label: str,
        plan: Plan,
        chosen: Configuration,
    ) -> dict[str, object]:
        """A row of modules trained on the new backbone."""
        new = pair[1]
        evals = [plan.find(chosen, task, new, new) for task in plan.tasks]
        trained = {job.train.task: job.train for job in plan.jobs if self._is(job, chosen, new)}
        return self._row(pair, configuration, strategy, label, evals, [trained[task] for task in plan.tasks])

    def _row(
        self,
        pair: tuple[str, str],
        configuration: Configuration,
        strategy: str,
        label: str,
        evals: Sequence[Cell | None],
        costs: Sequence[Cell],
    ) -> dict[str, object]:
        study = self.study
        repaired, zero = study.outcome(evals), study.find(self.full, study.zero_shot, pair[0], pair[1])
        reuse = study.find(self.full, configuration, *pair)
        status, reason = study.why(evals)
        records = [study.session.store.record(cell.key) or {} for cell in costs]
        return {
            "pair": f"{pair[0]}->{pair[1]}",
            "method": configuration.method,
            "title": study.title(configuration),
            "repair": strategy,
            "label": label,
            "keeps": "the old backbone alone" if strategy == "stay" else "",
            "control": False,
            "accuracy": mean(repaired),
            "reuse": mean(reuse),
            "zs_new": mean(zero),
            **_gap("lift", repaired, zero),
            **_gap("over_reuse", repaired, reuse),
            "images": _mean([record.get("images") or 0 for record in records]),
            "labels": _mean([record.get("labels", record.get("images")) or 0 for record in records]),
            "steps": _mean([record.get("steps") or 0 for record in records]),
            "seconds": _mean([record.get("train_seconds") or 0.0 for record in records]),
            "seeds": len(evals),
            "status": status,
            "reason": reason,
        }


def _gap(name: str, one: Outcome | None, other: Outcome | None) -> dict[str, float]:
    return dict(zip((name, f"{name}_low", f"{name}_high"), gap(one, other, SPLIT), strict=True))


def _mean(values: list[float]) -> float:
    return round(sum(values) / len(values), 4) if values else 0.0
