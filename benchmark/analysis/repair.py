"""Repair: what to do when reuse is not enough. Every way of ``repairs`` on every module that allows it, beside plain reuse,
retraining, and the same number of steps from scratch; each with what it costs in images, labels, steps and seconds."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from benchmark.analysis.break_even import own_steps
from benchmark.analysis.repair_strategies import REPAIRS, WARM_STARTS, Case, Repair, predictions
from benchmark.analysis.study import SPLIT, Setting, gap, mean
from benchmark.experiment.plan import Cell, Configuration, Job, Plan, restore
from benchmark.experiment.store import cell_hash
from benchmark.experiment.worker import Worker
from benchmark.method.base import Incompatible
from benchmark.results.paired import Outcome
from benchmark.training.evaluation import accuracy, places

COLUMNS = (
    "pair method title strategy label accuracy reuse zs_new lift lift_low lift_high over_reuse over_reuse_low "
    "over_reuse_high images labels steps seconds seeds status reason".split()
)
"""``seconds`` is the mean over seeds of the time on this machine, without evaluation."""
KIND = "repair"
BY_NAME: Mapping[str, Repair] = {each.name: each for each in REPAIRS}


def arguments(parser: argparse.ArgumentParser) -> None:
    """No options of its own."""


def run(setting: Setting, options: argparse.Namespace) -> pd.DataFrame:
    """All strategies on all modules."""
    configurations = [setting.zero_shot, *setting.contestants]
    full = setting.plan(setting.pairs, configurations, retrain=True)
    setting.compute("modules of both backbones", full.jobs)
    news = [(new, new) for new in dict.fromkeys(new for _, new in setting.pairs)]
    cuts = {
        (configuration.method, steps): Configuration(
            configuration.method, f"{configuration.label},steps={steps}", {**configuration.changes, "steps": steps}
        )
        for configuration in setting.contestants
        for steps in WARM_STARTS
        if steps <= own_steps(setting, full, configuration)
    }
    scratch = setting.plan(news, list(cuts.values()))
    setting.compute("trainings from scratch with fewer steps", scratch.jobs)
    jobs = [job for pair in setting.pairs for job in _jobs(setting, full, cuts, pair)]
    setting.compute("repairs", jobs, {KIND: act})
    found = {job.train.key + cell.backbone + str(cell.config["strategy"]): cell for job in jobs for cell in job.evals}
    book = _Book(setting, full, scratch, cuts, found)
    rows = [row for pair in setting.pairs for configuration in setting.contestants for row in book.rows(pair, configuration)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _jobs(
    setting: Setting, full: Plan, cuts: Mapping[tuple[str, int], Configuration], pair: tuple[str, str]
) -> Iterator[Job]:
    """One job for each module and new backbone: the training, which is done, and its repairs."""
    old, new = pair
    digests = {facts.name: facts.digest for facts in setting.session.backbones}
    for job in full.jobs:
        configuration = job.train.configuration
        if job.train.backbone != old or configuration.method == setting.baseline:
            continue
        target = next(cell for cell in job.evals if cell.backbone == new)
        cells = []
        for repair in REPAIRS:
            steps = getattr(repair, "steps", 0)
            if steps and (configuration.method, steps) not in cuts:
                continue  # more than its whole retraining would take
            config = {**target.config, "kind": KIND, "strategy": repair.name, "version": repair.version, "old": digests[old]}
            cells.append(Cell(KIND, cell_hash(config), config, configuration, new, job.train.task, job.train.settings))
        yield Job(job.train, tuple(cells))


def act(worker: Worker, cell: Cell, trained: Cell, record: Mapping[str, Any]) -> dict[str, Any]:
    """What a worker does for a repair: repair the module, evaluate it, say what it cost."""
    repair, cls = BY_NAME[str(cell.config["strategy"])], worker.methods[cell.configuration.method].cls
    config = restore(cls, cell.settings)
    old, new, task = worker.backbone(trained.backbone), worker.backbone(cell.backbone), worker.task(cell.task)
    why = cls.incompatibility(config, new)
    if why:
        raise Incompatible(f"{why} on {new.name}")
    tensors = worker.store.load_module(trained.key, record["module"])
    why = repair.incompatibility(cls, tensors)
    if why:
        raise Incompatible(why)
    case = Case(cls, config, tensors, old, new, task, worker.features, worker.context.precision)
    start = time.perf_counter()
    repaired = repair.apply(case)
    seconds = time.perf_counter() - start
    found, figures = {}, {}
    for test in task.tests:
        columns = places(test.classes, task.classes) if cls.info.class_bound else None
        if cls.info.class_bound and columns is None:
            continue
        found[test.key] = predictions(case, repaired, test, columns)
        figures[test.key] = accuracy(found[test.key], np.asarray(test.examples.labels))
    worker.store.save_predictions(cell.key, found)
    cost = {"images": repaired.images, "labels": repaired.labels, "steps": repaired.steps}
    share = {"zero_shot_share": repaired.zero_shot_share}
    return {"accuracy": figures, "train_seconds": seconds, **cost, **share, "notes": dict(repaired.notes)}


@dataclass
class _Book:
    """Finished cells, by what they stand for."""

    setting: Setting
    full: Plan
    scratch: Plan
    cuts: Mapping[tuple[str, int], Configuration]
    repairs: Mapping[str, Cell]

    def rows(self, pair: tuple[str, str], configuration: Configuration) -> Iterator[dict[str, object]]:
        """Rows of one method on one pair, cheapest strategy first."""
        old, new = pair
        reused = [self.full.find(configuration, task, old, new) for task in self.full.tasks]
        yield self._row(pair, configuration, "reuse", "reuse", reused, [])
        trainings = {job.train.task: job.train for job in self.full.jobs if self._is(job, configuration, old)}
        for repair in REPAIRS:
            keys = [trainings[task].key + new + repair.name for task in self.full.tasks]
            if all(key in self.repairs for key in keys):
                cells = [self.repairs[key] for key in keys]
                yield self._row(pair, configuration, repair.name, repair.title, cells, cells)
            steps = getattr(repair, "steps", 0)
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
        made: Plan,
        chosen: Configuration,
    ) -> dict[str, object]:
        """A row of modules trained on the new backbone."""
        new = pair[1]
        evals = [made.find(chosen, task, new, new) for task in made.tasks]
        trained = {job.train.task: job.train for job in made.jobs if self._is(job, chosen, new)}
        return self._row(pair, configuration, strategy, label, evals, [trained[task] for task in made.tasks])

    def _row(
        self,
        pair: tuple[str, str],
        configuration: Configuration,
        strategy: str,
        label: str,
        evals: Sequence[Cell | None],
        costs: Sequence[Cell],
    ) -> dict[str, object]:
        setting = self.setting
        found, zero = setting.outcome(evals), setting.find(self.full, setting.zero_shot, pair[0], pair[1])
        reuse = setting.find(self.full, configuration, *pair)
        status, reason = setting.why(evals)
        records = [setting.session.store.record(cell.key) or {} for cell in costs]
        return {
            "pair": f"{pair[0]}->{pair[1]}",
            "method": configuration.method,
            "title": setting.title(configuration),
            "strategy": strategy,
            "label": label,
            "accuracy": mean(found),
            "reuse": mean(reuse),
            "zs_new": mean(zero),
            **_gap("lift", found, zero),
            **_gap("over_reuse", found, reuse),
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
