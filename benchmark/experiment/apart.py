"""Runs plugin code for the driver in a process of its own, with a time limit, so that nothing it does reaches the driver."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

import torch

from benchmark.experiment.isolation import described
from benchmark.experiment.processes import follow_the_driver, process_maker

T = TypeVar("T")
Work = Callable[[Sequence[str]], Iterable[T]]
"""Yields one result for each name, in order; a function that another process can import."""


def each_apart(work: Work[T], names: Sequence[str], seconds: float) -> Iterator[tuple[str, T | None, str]]:
    """(name, result, reason) of each name. After an error, a death or ``seconds`` without a result, the result is None, the
    reason says why, and another process goes on with the next name. The first process starts at once, and works while the
    caller does something else."""
    return _results(work, list(names), seconds, _start(work, names) if names else None)


def _results(
    work: Work[T], left: list[str], seconds: float, started: tuple[BaseProcess, Connection] | None
) -> Iterator[tuple[str, T | None, str]]:
    while started:
        process, pipe = started
        try:
            while left:
                result, reason = _next(pipe, seconds)
                yield left.pop(0), result, reason
                if reason:
                    break
        finally:
            process.kill()
            process.join()
            pipe.close()
        started = _start(work, left) if left else None


def _start(work: Work[Any], names: Sequence[str]) -> tuple[BaseProcess, Connection]:
    """A process that works on some names, and where its results come from."""
    processes = process_maker(gpu=torch.cuda.is_initialized())
    ours, theirs = processes.Pipe(duplex=False)
    process = processes.Process(target=_main, args=(theirs, work, tuple(names)), daemon=True)
    process.start()
    theirs.close()
    return process, ours


def _next(pipe: Connection, seconds: float) -> tuple[Any, str]:
    try:
        if not pipe.poll(seconds):
            return None, f"it took longer than {seconds:.0f} s"
        return pipe.recv()  # type: ignore[no-any-return]
    except (EOFError, OSError):
        return None, "it ended the process"


def _main(pipe: Connection, work: Work[Any], names: Sequence[str]) -> None:
    """Body of the process."""
    follow_the_driver()
    torch.set_num_threads(1)
    process = os.getpid()
    try:
        for result in work(names):
            pipe.send((result, ""))
    except BaseException as error:  # whatever it is, it is the plugin's
        if os.getpid() == process:
            pipe.send((None, described(error)))
    os._exit(0)  # nothing that a plugin registered for the end of a process runs
