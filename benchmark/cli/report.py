"""Write the report again from finished results, without computing anything; several folders or packs become one report."""

from __future__ import annotations

import argparse
from dataclasses import replace

from benchmark import report
from benchmark.analysis import findings
from benchmark.cli.console import progress_console
from benchmark.cli.execution import require_writable
from benchmark.method import registry
from benchmark.results.archive import RunResults, merge, read


def run(options: argparse.Namespace) -> int:
    """Write the page, or tables only; returns the exit status."""
    require_writable(options.report)
    folders = list(dict.fromkeys(options.folders))
    merged = _with_methods(merge([read(folder) for folder in folders]))
    if options.tables:
        files = report.write_paper_tables(options.report, merged)
        text = f"tables: {len(files)} files in {files[0].parent}" if files else "no tables: no upgrade has values"
        progress_console().print(text, markup=False, soft_wrap=True)
        return 0
    report.write(options.report, merged, findings.merge({folder: findings.load(folder) for folder in folders}))
    text = f"report: {options.report}, next to it {report.names_of_files(options.report)}"
    progress_console().print(text, markup=False, soft_wrap=True)
    return 0


def _with_methods(run: RunResults) -> RunResults:
    """Results of early versions do not describe their methods; the installed ones take their place."""
    absent = set(run.results.method) - set(run.methods)
    if not absent:
        return run
    plugins = registry.methods().plugins
    described = {name: plugins[name].cls.info for name in sorted(absent) if name in plugins}
    return replace(run, methods={**run.methods, **described})
