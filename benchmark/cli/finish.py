"""The end of a run: records become tables, the report and a summary in the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmark import report
from benchmark.analysis import findings
from benchmark.cli.console import print_answers, progress_console, summary_table
from benchmark.config.paths import program
from benchmark.experiment.session import Session
from benchmark.experiment.store import ACCEPTED
from benchmark.report.model import Answer, MethodRow
from benchmark.results.archive import RunResults, save
from benchmark.results.collect import collect


def finish(session: Session, page: Path | None, given: Sequence[str], *, files: bool = True) -> tuple[int, str]:
    """Write the tables, and the report to ``page`` if there is one, and print the summary. ``files``: whether the files next
    to the page are written too, and the images that modules lose are shown. Returns the exit status and what was printed."""
    with progress_console().status("writing tables"):
        run = collect(session, f"{program()} {' '.join(given)}".strip(), pictures=files)
        save(run)
        first = report.first_tables(run)
    console = Console(highlight=False, record=True)
    _print_summary(run, first.rows, console)
    answers: Sequence[Answer] = ()
    if page:
        with progress_console().status("writing the report"):
            answers = report.write(page, run, findings.load(run.folder), first=first, files=files).answers
    print_answers(answers, console)
    statuses = Counter(run.runs.status)
    if missing := sum(1 for _ in session.plan.cells()) - len(run.runs):
        statuses["not run"] = missing
    console.print("cells: " + ", ".join(f"{count} {status}" for status, count in sorted(statuses.items(), key=_ok_first)))
    console.print(f"tables: {session.store.root}/results.csv, runs.csv", soft_wrap=True)
    if page:
        beside = f"next to it {report.names_of_files(page)}" if files else "without its files, which come at the end"
        console.print(f"report: {page}, {beside}", markup=False, soft_wrap=True)
    return 0 if statuses.keys() <= ACCEPTED else 1, console.export_text()


def _ok_first(counted: tuple[str, int]) -> tuple[bool, str]:
    return counted[0] != "ok", counted[0]


def _print_summary(run: RunResults, rows: Sequence[MethodRow], console: Console) -> None:
    if run.about.warning:
        console.print(run.about.warning, style="yellow", markup=False)
    console.print(summary_table(rows, report.scope(run.results), short=True))
    console.print(f"all methods: {program()} show {run.folder}", markup=False, soft_wrap=True)
    for row in run.about.published:
        if row.wrong:
            console.print(
                f"warning: {row.what} of {row.backbone} is {row.measured:.1f}, published is {row.published:.1f} "
                f"({row.source}; {row.difference}): check weights, activation and data",
                style="bold red",
                markup=False,
                soft_wrap=True,
            )
