"""Cells of repairs: what a run plans for them, and what a worker does."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from benchmark.analysis.repair_base import OLD_BACKBONE, Case, Repair, all_repairs, choose_repairs
from benchmark.config.errors import UserError
from benchmark.experiment.plan import REPAIR, Cell, PlannedRepair
from benchmark.experiment.worker import Action, Worker, evaluated
from benchmark.method.terms import Incompatible
from benchmark.training.scoring import predictions_of


def planned(repair: Repair) -> PlannedRepair:
    """What a plan has to know of a repair."""
    return PlannedRepair(repair.name, repair.version, repair.title, repair.keeps == OLD_BACKBONE, repair.applies_to)


def planned_repairs(names: Sequence[str]) -> tuple[PlannedRepair, ...]:
    """Those that the YAML or ``--repairs`` name, see ``choose_repairs``; of "all" and globs, those that are no controls.

    Raises:
        UserError: there is no such repair, or it is a control.
    """
    chosen = choose_repairs(names, "repairs: ")
    for repair in chosen:
        if repair.control and repair.name in names:
            fix = "leave it out; analyse repair measures it"
            raise UserError(f"repairs: {repair.name} is a control, and no way to use a module", fix=fix)
    return tuple(planned(repair) for repair in chosen if not repair.control)


def repair_cell(worker: Worker, cell: Cell, trained: Cell, record: Mapping[str, Any]) -> dict[str, Any]:
    """What a worker does for a repair: repair the module, evaluate it, and record the cost."""
    repair = next(repair for repair in all_repairs() if repair.name == cell.config["strategy"])
    module, new, task = worker.module(trained), worker.backbone(cell.backbone), worker.task(cell.task)
    reason = repair.incompatibility(module)
    if reason:
        raise Incompatible(reason)
    old, passage = worker.backbone(trained.backbone), worker.passage(trained.backbone, cell.backbone)
    case = Case(module, old, new, task, worker.features, passage, worker.context.precision, worker.scores)
    start = time.perf_counter()
    repaired = repair.apply(case)
    seconds = time.perf_counter() - start
    predictions = predictions_of(task, repaired.scorer)
    cost = {"images": repaired.images, "labels": repaired.labels, "steps": repaired.steps, "train_seconds": seconds}
    return evaluated(predictions, record) | cost | {"notes": dict(repaired.notes)}


ACTIONS: Mapping[str, Action] = {REPAIR: repair_cell}
"""What workers do for the cells of repairs."""
