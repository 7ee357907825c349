"""From the records of a session to its results."""

from __future__ import annotations

from datetime import datetime, timezone

from benchmark.experiment.session import Session
from benchmark.experiment.store import ACCEPTED
from benchmark.results import image_covariance, provenance, published, tables
from benchmark.results.archive import RunResults
from benchmark.training.checks.capability import check_capabilities


def collect(session: Session, command: str) -> RunResults:
    """The results of a session, from its finished cells. ``command`` is the command that started it."""
    plan, store, baseline = session.plan, session.store, session.baseline
    results = tables.results(plan, store)
    about = provenance.describe(
        session,
        command=command,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        published=published.compare(results, session.spec.backbones, baseline),
        capabilities=check_capabilities({name: session.methods[name].cls for name in _sound_methods(session)}),
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


def _sound_methods(session: Session) -> list[str]:
    """Methods whose trainings all ended well; a check of the others might hang or crash."""
    statuses: dict[str, set[str]] = {}
    for job in session.plan.jobs:
        status = session.store.status(job.train.key) or "not run"
        statuses.setdefault(job.train.configuration.method, set()).add(status)
    return sorted(name for name, seen in statuses.items() if seen <= ACCEPTED)
