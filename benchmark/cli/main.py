"""Runs a command: options first, then the code of the command, and mistakes in one line."""

from __future__ import annotations

import contextlib
import errno
import importlib
import io
import os
import sys
from collections.abc import Sequence

from benchmark.cli.parser import parse
from benchmark.config.errors import UserError

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status.

    0: every cell is ok, incompatible or skipped by request. 1: some cell failed. 2: a mistake in the input.
    130: interrupted.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    _take_any_text()
    try:
        options = parse(given)
        options.given = given
        _prepare_environment(fetch=getattr(options, "prepare", False))
        # Imports torch, which takes seconds: not before the options are known to be valid.
        name = "list_plugins" if getattr(options, "list", False) else options.command.replace("-", "_")
        command = importlib.import_module(f"benchmark.cli.{name}")
        status = int(command.run(options))
        sys.stdout.flush()
        return status
    except UserError as error:
        _say(f"error: {error}", style="bold red")
        return error.exit_code
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EPIPE):
            raise
        return _output_lost(error)
    except KeyboardInterrupt as interrupt:
        _say(str(interrupt) or "interrupted: finished cells are kept; run the same command again to resume")
        return INTERRUPTED


def _take_any_text() -> None:
    """Names may have letters that the terminal's encoding lacks; they are shown as question marks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _output_lost(error: OSError) -> int:
    """The end of a command whose standard output takes no more. Nobody needs to be told that reads no further."""
    with contextlib.suppress(OSError, ValueError):  # what is left in the buffer must not fail again at the exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if error.errno == errno.ENOSPC:
        _say(f"error: cannot write: {error.strerror} (fix: free some disk space)", style="bold red")
        return UserError.exit_code
    return 0


def _prepare_environment(*, fetch: bool) -> None:
    """What libraries read when they are imported, here or in a worker."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")  # one thread each, so that workers do not compete for cores
    if not fetch:  # nothing is fetched in the middle of a run
        os.environ["HF_HUB_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = "1"


def _say(text: str, style: str | None = None) -> None:
    from rich.console import Console

    Console(stderr=True, highlight=False).print(text, style=style, markup=False, soft_wrap=True)


if __name__ == "__main__":
    raise SystemExit(main())
