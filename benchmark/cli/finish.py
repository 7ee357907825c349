"""The end of a run: records become tables, the report and a summary."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timezone
from pathlib import Path

from rich.console import Console

from benchmark import report
from benchmark.analysis import findings
from benchmark.cli.console import summary_table
from benchmark.experiment.session import Session
from benchmark.results import archive, image_covariance, provenance, published, tables
from benchmark.training.checks import capability

ACCEPTED = frozenset({"ok", "incompatible", "skipped"})
"""Statuses of cells that do not make a run fail."""


def conclude(session: Session, page: Path, command: str) -> int:
    """Write the tables and the report to ``page``, print the summary; returns the exit status."""
    figures, costs = tables.results(session.plan, session.store), tables.runs(session.plan, session.store)
    tables.write_csv(figures, session.store, "results.csv")
    tables.write_csv(costs, session.store, "runs.csv")
    baseline = next((name for name, plugin in session.methods.plugins.items() if plugin.cls.info.baseline), "")
    images = image_covariance.table(session.plan, session.store, baseline)
    tables.write_csv(images, session.store, "uncertainty.csv")
    covariances = report.covariances(images)
    used = sorted({configuration.method for configuration in session.plan.configurations})
    facts = provenance.describe(
        session.spec,
        session.plan,
        session.methods,
        session.backbones,
        command=command,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        device=session.context.device,
        published=published.compare(figures, session.spec.backbones, baseline),
        capabilities=capability.check_capabilities({name: session.methods[name].cls for name in _sound(session)}),
    )
    infos = {name: session.methods[name].cls.info for name in used}
    datasets = provenance.datasets(session.datasets, session.plan)
    archive.save(session.store, facts, datasets)
    report.write(page, figures, costs, facts, infos, datasets, covariances, findings.load(session.store.root))
    console = Console(highlight=False)
    if session.spec.warning:
        console.print(session.spec.warning, style="yellow", markup=False)
    rows = report.headline(figures, facts.zero_shot, infos, covariances)
    console.print(summary_table(rows, report.scope(figures)))
    for row in facts.published:
        if row.wrong:
            console.print(
                f"warning: {row.what} of {row.backbone} is {row.measured:.1f}, published is {row.published:.1f} "
                f"({row.source}; {row.difference}): check weights, activation and data",
                style="bold red",
                markup=False,
                soft_wrap=True,
            )
    statuses = Counter(session.store.status(cell.key) or "not run" for cell in session.plan.cells())
    console.print("cells: " + ", ".join(f"{count} {status}" for status, count in sorted(statuses.items())))
    console.print(f"tables: {session.store.root}/results.csv, runs.csv")
    console.print(f"report: {page}, beside it {report.beside(page)}", markup=False, soft_wrap=True)
    return 0 if statuses.keys() <= ACCEPTED else 1


def _sound(session: Session) -> list[str]:
    """Methods of which no training went wrong: others might hang or kill whoever tries them."""
    statuses: dict[str, set[str | None]] = {}
    for job in session.plan.jobs:
        statuses.setdefault(job.train.configuration.method, set()).add(session.store.status(job.train.key))
    return sorted(name for name, found in statuses.items() if found <= ACCEPTED)
