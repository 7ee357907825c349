"""``--list``: the available methods and data sets. Apart from the main job, whose imports take seconds."""

from __future__ import annotations

import argparse

from rich.console import Console

from benchmark.cli.console import datasets_table, methods_table, progress_console
from benchmark.data.dataset import Dataset
from benchmark.method import registry
from benchmark.method.base import Method
from benchmark.method.registry import Registry


def run(options: argparse.Namespace) -> int:
    """Print both tables; returns the exit status."""
    plugins = tuple(options.plugins)
    methods, datasets = registry.methods(plugins), registry.datasets(plugins)
    warn_of_broken(methods, datasets, progress_console())
    Console(highlight=False).print(methods_table(methods), datasets_table(datasets))
    return 0


def warn_of_broken(methods: Registry[Method], datasets: Registry[Dataset], console: Console) -> None:
    """Say which plugins cannot be imported, and why."""
    for kind, broken in ((methods.kind, methods.broken), (datasets.kind, datasets.broken)):
        for name, reason in broken.items():
            console.print(f"warning: {kind} {name!r} is broken and left out: {reason}", markup=False, soft_wrap=True)
