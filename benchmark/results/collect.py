"""From the records of a session to its results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

import pandas as pd

from benchmark.experiment.apart import each_apart
from benchmark.experiment.plan import Plan
from benchmark.experiment.session import Session
from benchmark.experiment.store import ACCEPTED
from benchmark.method import registry
from benchmark.results import image_covariance, lost_rows, provenance, published, tables
from benchmark.results.archive import RunResults
from benchmark.results.cell_reader import CellReader, groups_of_tasks
from benchmark.training.checks.capability import Capability, check_capabilities

CHECK_SECONDS = 60.0
"""Longest check of what one method can do."""


def collect(session: Session, command: str, *, pictures: bool = True) -> RunResults:
    """The results of a session, from its finished cells. ``command`` is the command that started it; ``pictures``: whether
    the images that modules lose are collected too."""
    plan, store, baseline = session.plan, session.store, session.baseline
    runs = tables.runs(plan, store)
    check = partial(_check_some, session.context.plugins, session.context.skipped)
    checks = each_apart(check, _sound_methods(plan, runs), CHECK_SECONDS)  # takes as long as the tables, in another process
    reader = CellReader(store)
    used = sorted({configuration.method for configuration in plan.configurations})
    methods = {name: session.methods[name].cls.info for name in used}
    lost = lost_rows.LostRows(plan, reader, session.datasets, methods) if pictures else None
    results, uncertainty = _tables(plan, reader, baseline, lost)
    capabilities, unknown = [], {}
    for name, capability, reason in checks:
        if capability:
            capabilities.append(capability)
        elif reason:
            unknown[name] = reason
    about = provenance.describe(
        session,
        command=command,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        published=published.compare(results, session.spec.backbones, baseline),
        capabilities=capabilities,
        unknown=unknown,
    )
    return RunResults(
        folder=store.root,
        results=results,
        runs=runs,
        uncertainty=uncertainty,
        about=about,
        datasets=provenance.datasets(session.datasets, plan),
        methods=methods,
        lost=lost.lost() if lost else {},
    )


def values(session: Session) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The values of a session's finished cells, and what the test images contribute to their uncertainty; see
    ``RunResults``."""
    return _tables(session.plan, CellReader(session.store), session.baseline, None)


def _tables(
    plan: Plan, reader: CellReader, baseline: str, lost: lost_rows.LostRows | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The values of a plan, and what the test images contribute to their uncertainty. ``lost`` takes note of lost images."""
    values, covariances = tables.ResultRows(plan, reader), image_covariance.CovarianceRows(plan, reader, baseline)
    for group in groups_of_tasks(plan):
        values.add(group)
        covariances.add(group)
        if lost:
            lost.add(group)
        reader.forget()
    return values.table(), covariances.table()


def _check_some(plugins: tuple[Path, ...], skipped: Mapping[str, str], names: Sequence[str]) -> Iterator[Capability | None]:
    """Looks methods up itself: classes of plugins cannot be sent to another process."""
    methods = registry.methods(plugins, skipped)
    return check_capabilities({name: methods[name].cls for name in names})


def _sound_methods(plan: Plan, runs: pd.DataFrame) -> list[str]:
    """Methods whose trainings all ended well; a check of the others might hang or crash."""
    status = dict(zip(runs.key, runs.status, strict=True))
    sound: dict[str, bool] = {}
    for job in plan.jobs:
        method = job.train.configuration.method
        sound[method] = sound.get(method, True) and status.get(job.train.key) in ACCEPTED
    return sorted(name for name, well in sound.items() if well)
