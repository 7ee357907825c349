"""From the options that commands share to what the engine takes."""

from __future__ import annotations

import argparse

from benchmark.experiment.session import Execution


def execution_of(options: argparse.Namespace) -> Execution:
    """How and where the options ask for cells to be computed."""
    return Execution(
        out=options.out,
        device=options.device,
        precision=options.precision,
        workers=options.workers,
        cell_timeout=options.cell_timeout,
        named_executor=options.executor,
    )
