"""From the options that commands share to what the engine takes."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from benchmark.config import loader
from benchmark.config.errors import UserError
from benchmark.config.schema import RunSpec
from benchmark.experiment.session import Execution, override


def spec_of(options: argparse.Namespace, **changes: Any) -> RunSpec:
    """What the YAML of a command says, with the values of its options in place of the YAML's.

    Args:
        options: Of any command that reads a YAML.
        **changes: Options that only some commands have, see ``session.override``.

    Raises:
        UserError: the YAML or a value is not valid.
    """
    spec = loader.load(loader.find(options.upgrade_pairs))
    return override(spec, data_root=options.data_root, plugins=tuple(options.plugins), **changes)


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


def require_writable(page: Path) -> None:
    """Find out before the work, not after it, that a report cannot be written.

    Raises:
        UserError: the page, or what is written next to it, cannot be.
    """
    beside = page.with_suffix("")
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        if page.is_dir():
            raise OSError("it is a folder")
        if beside.exists() and not beside.is_dir():
            raise OSError(f"{beside}, the folder of its tables and figures, is a file")
        if not os.access(page.parent, os.W_OK):
            raise OSError("permission denied")
    except OSError as error:
        raise UserError(f"--report {page} cannot be written: {error}", fix="choose another file") from None
