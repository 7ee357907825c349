"""Run the contract that every method keeps on one of them, on tiny random CLIPs, and say what to mend."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from benchmark.method import registry
from benchmark.training.checks import contract


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("name", help="of the method")
    parser.add_argument("--folder", type=Path, default=registry.ROOT / "methods", metavar="DIR", help="where its file is")


def run(options: argparse.Namespace, console: Console) -> int:
    """Check and print; 0 if the method keeps the contract, else 1."""
    torch.set_num_threads(1)
    plugin = registry.methods(options.folder)[options.name]
    with console.status("checking on tiny CLIPs"), contract.Bench.make() as bench:
        found = contract.run(plugin.cls, bench)
    table = Table(title=f"{plugin.cls.info.title} ({plugin.name})", title_justify="left", title_style="")
    table.add_column("check", no_wrap=True)
    table.add_column("what to mend", overflow="fold")
    for name, problem in found.items():
        table.add_row(name, problem or "ok", style="red" if problem else None)
    out = Console(highlight=False)
    out.print(table)
    bad = sum(bool(problem) for problem in found.values())
    out.print(f"{bad} of {len(found)} checks failed: mend the first and try again" if bad else "keeps the contract")
    return 1 if bad else 0
