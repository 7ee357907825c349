"""Write the report again from finished results, without computing anything; several results folders become one report."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from benchmark import report
from benchmark.analysis import findings
from benchmark.method import registry
from benchmark.results.archive import merge, read


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("folders", nargs="*", type=Path, default=[Path("results")], metavar="DIR", help="results folders")
    parser.add_argument(
        "--report", type=Path, default=Path("reports/compat.html"), metavar="FILE", help="where the report goes"
    )


def run(options: argparse.Namespace, console: Console) -> int:
    """Write the page; returns the exit status."""
    runs = [read(folder) for folder in dict.fromkeys(options.folders)]
    merged = merge(runs)
    methods = registry.methods()
    infos = {name: methods[name].cls.info for name in sorted(set(merged.results.method)) if name in methods.plugins}
    known = report.covariances(merged.uncertainty)
    found = findings.merge({folder: findings.load(folder) for folder in dict.fromkeys(options.folders)})
    report.write(options.report, merged.results, merged.costs, merged.about, infos, merged.datasets, known, found)
    console.print(f"report: {options.report}, beside it {report.beside(options.report)}", markup=False, soft_wrap=True)
    return 0
