"""From the records of a session to its results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

from benchmark.experiment.apart import each_apart
from benchmark.experiment.session import Session
from benchmark.experiment.store import ACCEPTED
from benchmark.method import registry
from benchmark.results import image_covariance, provenance, published, tables
from benchmark.results.archive import RunResults
from benchmark.training.checks.capability import Capability, check_capabilities

CHECK_SECONDS = 60.0
"""Longest check of what one method can do."""


def collect(session: Session, command: str) -> RunResults:
    """The results of a session, from its finished cells. ``command`` is the command that started it."""
    plan, store, baseline = session.plan, session.store, session.baseline
    results = tables.results(plan, store)
    capabilities, unknown = _capabilities(session)
    about = provenance.describe(
        session,
        command=command,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        published=published.compare(results, session.spec.backbones, baseline),
        capabilities=capabilities,
        unknown=unknown,
    )
    used = sorted({configuration.method for configuration in plan.configurations})
    return RunResults(
        folder=store.root,
        results=results,
        runs=tables.runs(plan, store),
        uncertainty=image_covariance.table(plan, store, baseline),
        about=about,
        datasets=provenance.datasets(session.datasets, plan),
        methods={name: session.methods[name].cls.info for name in used},
    )


def _capabilities(session: Session) -> tuple[list[Capability], dict[str, str]]:
    """What the methods of a session can do, and why that is not known of some."""
    check = partial(_check_some, session.context.plugins, session.context.skipped)
    capabilities, unknown = [], {}
    for name, capability, reason in each_apart(check, _sound_methods(session), CHECK_SECONDS):
        if capability:
            capabilities.append(capability)
        elif reason:
            unknown[name] = reason
    return capabilities, unknown


def _check_some(plugins: tuple[Path, ...], skipped: Mapping[str, str], names: Sequence[str]) -> Iterator[Capability | None]:
    """Looks methods up itself: classes of plugins cannot be sent to another process."""
    methods = registry.methods(plugins, skipped)
    return check_capabilities({name: methods[name].cls for name in names})


def _sound_methods(session: Session) -> list[str]:
    """Methods whose trainings all ended well; a check of the others might hang or crash."""
    statuses: dict[str, set[str]] = {}
    for job in session.plan.jobs:
        status = session.store.status(job.train.key) or "not run"
        statuses.setdefault(job.train.configuration.method, set()).add(status)
    return sorted(name for name, seen in statuses.items() if seen <= ACCEPTED)
