"""Check a method against the contract, on tiny random CLIPs, and say what to fix."""

from __future__ import annotations

import argparse

import torch
from rich.console import Console
from rich.table import Table

from benchmark.cli.console import progress_console
from benchmark.method import registry
from benchmark.method.base import Method
from benchmark.method.registry import Registry
from benchmark.training.checks import contract


def run(options: argparse.Namespace) -> int:
    """Check and print; returns 0 if all checks passed, else 1."""
    console = progress_console()
    torch.set_num_threads(1)
    plugin = _methods(options)[options.name]
    with console.status("checking on tiny CLIPs"), contract.Bench.make() as bench:
        problems = contract.run(plugin.cls, bench)
    table = Table(title=f"{plugin.cls.info.title} ({plugin.name})", title_justify="left", title_style="")
    table.add_column("check", no_wrap=True)
    table.add_column("what to fix", overflow="fold")
    for name, problem in problems.items():
        table.add_row(name, problem or "ok", style="red" if problem else None)
    out = Console(highlight=False)
    out.print(table)
    failed = sum(bool(problem) for problem in problems.values())
    out.print(f"{failed} of {len(problems)} checks failed: fix the first and try again" if failed else "all checks passed")
    return 1 if failed else 0


def _methods(options: argparse.Namespace) -> Registry[Method]:
    return registry.methods_in(options.folder) if options.folder else registry.methods(tuple(options.plugins))
