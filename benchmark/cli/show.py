"""Print the whole table of a finished run or a pack, with what to do at every upgrade."""

from __future__ import annotations

import argparse

from rich.console import Console

from benchmark import report
from benchmark.analysis import findings
from benchmark.cli.console import print_answers, summary_table
from benchmark.report.page import gather
from benchmark.results.archive import read


def run(options: argparse.Namespace) -> int:
    """Print it; returns the exit status."""
    console, finished = Console(highlight=False), read(options.folder)
    first = report.first_tables(finished)
    if finished.about.warning:
        console.print(finished.about.warning, style="yellow", markup=False)
    console.print(summary_table(first.rows, report.scope(finished.results)))
    print_answers(gather(finished, findings.load(options.folder), first).answers, console)
    return 0
