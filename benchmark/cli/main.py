"""The command line: parse, plan, run, write tables and the report."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from benchmark.config.errors import UserError

COMMANDS = {
    "eval-module": "eval_module",
    "report": "report",
    "analyse": "analyse",
    "methods": "methods",
    "new-method": "new_method",
    "check-method": "check_method",
    "cite": "cite",
}
"""Commands beside the main job, and the modules of the engine that hold them (``arguments`` and ``run``)."""


def parser() -> argparse.ArgumentParser:
    """All options of ``run_benchmark.py``."""
    p = argparse.ArgumentParser(
        prog="run_benchmark.py",
        description="Train fine-tuning methods on an old CLIP, reuse their modules on newer ones, and report what survives.",
        epilog="Example: python run_benchmark.py --methods 'co*' --upgrade-pairs pairs.yaml --seeds 1. "
        f"Other commands: {', '.join(COMMANDS)} (each with --help).",
    )
    what = p.add_argument_group("what to run")
    what.add_argument(
        "--upgrade-pairs", type=Path, default=Path("pairs.yaml"), metavar="YAML", help="backbones and upgrades"
    )
    what.add_argument("--methods", type=_names, default=None, metavar="NAMES", help="names, globs or 'all', comma-separated")
    what.add_argument(
        "--datasets", type=_names, default=None, metavar="NAMES", help="names, globs or 'all', comma-separated"
    )
    protocols = "base-to-new, few-shot, domain, cross-dataset"
    what.add_argument("--protocols", type=_names, default=None, metavar="NAMES", help=protocols)
    what.add_argument("--seeds", type=_numbers, default=None, metavar="N,N", help="seeds of the few-shot draws")
    what.add_argument(
        "--shots", type=_count, default=None, metavar="N", help="training images per class, where there are as many"
    )
    what.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="METHOD.KEY=VALUE",
        help="change a hyper-parameter; VALUE,VALUE makes two configurations; may be repeated",
    )
    how = p.add_argument_group("how to run it")
    how.add_argument("--data-root", type=Path, default=None, metavar="DIR", help="folder of data sets read from files")
    how.add_argument("--device", default="auto", metavar="NAME", help="auto (a GPU if there is one), cpu, cuda, cuda:1")
    how.add_argument("--precision", choices=("fp32", "bf16", "fp16"), default="fp32", help="of the forward pass")
    how.add_argument("--workers", type=_count, default=None, metavar="N", help="worker processes; 0 runs in this process")
    how.add_argument("--cell-timeout", type=_positive, default=None, metavar="SECONDS", help="kill a cell that takes longer")
    how.add_argument("--out", type=Path, default=Path("results"), metavar="DIR", help="where records and tables go")
    how.add_argument(
        "--report", type=Path, default=Path("reports/compat.html"), metavar="FILE", help="where the report goes"
    )
    fetch = how.add_mutually_exclusive_group()
    fetch.add_argument("--prepare", action="store_true", help="fetch weights and data sets that are missing, and stop")
    fetch.add_argument("--offline", action="store_true", help="never touch the network: so is every run without --prepare")
    how.add_argument("--dry-run", action="store_true", help="print the plan and stop")
    how.add_argument("--list", action="store_true", help="list methods and data sets and stop")
    return p


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of whole numbers") from None


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0")
    return int(text)


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status.

    0: every cell is ok, incompatible or skipped by request. 1: some cell failed. 2: a mistake in the input. 130: interrupted.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    command = COMMANDS.get(given[0]) if given else None
    if command:
        return _other(given[0], command, given[1:])
    options = parser().parse_args(given)
    # Before torch is imported, here or in a worker: one thread each, so that workers do not fight over cores.
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    if not options.prepare:
        _stay_offline()

    def run(console: Console) -> int:
        from benchmark.cli import run as main_job  # imports torch, which takes seconds: not before the options are good
        from benchmark.experiment.session import Session

        def conclude(done: Session) -> int:
            # Not before the work: pandas, SciPy and matplotlib would take memory that the workers can use.
            from benchmark.cli.finish import conclude as finish

            return finish(done, options.report, f"python run_benchmark.py {' '.join(given)}".strip())

        return main_job.run(options, console, conclude)

    return _guarded(run)


def _other(shown: str, name: str, given: Sequence[str]) -> int:
    """One of the commands beside the main job."""
    _stay_offline()

    def run(console: Console) -> int:
        command = importlib.import_module(f"benchmark.cli.{name}")
        options = argparse.ArgumentParser(prog=f"run_benchmark.py {shown}", description=command.__doc__)
        command.arguments(options)
        return int(command.run(options.parse_args(given), console))

    return _guarded(run)


def _stay_offline() -> None:
    """Nothing is fetched in the middle of a run; the hub's libraries read this when they are imported."""
    os.environ["HF_HUB_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = "1"


def _guarded(run: Callable[[Console], int]) -> int:
    console = Console(stderr=True, highlight=False)
    try:
        return run(console)
    except UserError as error:
        console.print(f"error: {error}", style="bold red", markup=False, soft_wrap=True)
        return error.exit_code
    except KeyboardInterrupt:
        console.print("interrupted: finished cells are kept; the same command goes on where this one stopped")
        return 130
