"""The main job, unless it would only repeat itself. Nothing here imports torch, so that this is known within a second."""

from __future__ import annotations

import argparse

from benchmark.cli.unchanged import LastRun


def run(options: argparse.Namespace) -> int:
    """Do what the options ask for; returns the exit status."""
    last = LastRun(options)
    closing = None if options.dry_run or options.prepare else last.closing()
    if closing is not None:
        print(closing, end="")
        print("nothing has changed since this was written; `report` draws the report again")
        return 0
    from benchmark.cli import main_job

    return main_job.run(options, last)
