"""Reads data sets: each once in a process and its forks, and for the driver in a process apart."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import torch

from benchmark.config.errors import UserError
from benchmark.data.checks import checked
from benchmark.data.dataset import Dataset, Splits
from benchmark.experiment.apart import each_apart
from benchmark.experiment.isolation import described, exits_are_errors, switches_kept
from benchmark.experiment.processes import forks

HOUR = 3600.0
"""Seconds that reading one data set may take: its list of images, which are decoded later."""
FIX = "correct it, or leave it out of --datasets"
_LOADED: dict[tuple[str, Path | None], Splits] = {}
"""What this process has read; a fork starts with that of the driver."""


def splits_of(dataset: Dataset) -> Splits:
    """A data set's images, read in this process if they have not been yet.

    Raises:
        UserError: they cannot be used; says which data set it is.
    """
    key = _key(dataset)
    if key not in _LOADED:
        _LOADED[key] = load_splits(dataset)
    return _LOADED[key]


def read_apart(datasets: Iterable[Dataset], seconds: float | None = None) -> dict[str, Splits]:
    """The images of data sets by name, read in a process apart: whatever a ``load`` does there, it is one line here.

    Images that cannot be sent from one process to another are read once more in this one. So is everything where processes
    are not forks (see ``processes``): those could not import a data set that is a file of its own.

    Args:
        datasets: Which ones.
        seconds: Longest time for one of them; None for an hour.

    Raises:
        UserError: one cannot be used, ends the process or takes too long; says which it is.
    """
    wanted = {dataset.name: dataset for dataset in datasets}
    unread = [name for name, dataset in wanted.items() if _key(dataset) not in _LOADED]

    def work(names: Sequence[str]) -> Iterator[bytes | UserError | None]:
        return (_sendable(wanted[name]) for name in names)

    if forks(gpu=torch.cuda.is_initialized()):
        for name, result, reason in each_apart(work, unread, seconds or HOUR):
            if reason:
                raise UserError(f"load() failed: {reason}", where=f"dataset {name!r}", fix=FIX)
            if isinstance(result, UserError):
                raise result
            if result is not None:
                _LOADED[_key(wanted[name])] = pickle.loads(result)  # noqa: S301 - from a fork of this process
    return {name: splits_of(dataset) for name, dataset in wanted.items()}


def load_splits(dataset: Dataset) -> Splits:
    """What a data set's ``load`` returns, checked.

    Raises:
        UserError: it raises an error, or what it returns cannot be used; says which data set it is.
    """
    try:
        with switches_kept(), exits_are_errors():
            splits = dataset.load()
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"load() failed: {described(error)}", where=f"dataset {dataset.name!r}", fix=FIX) from error
    return checked(dataset, splits)


def _key(dataset: Dataset) -> tuple[str, Path | None]:
    return dataset.name, dataset.data_root


def _sendable(dataset: Dataset) -> bytes | UserError | None:
    """The images as another process can take them, or why they cannot be used; None if they cannot be sent."""
    try:
        splits = load_splits(dataset)
    except UserError as error:
        return error
    try:
        return pickle.dumps(splits)
    except Exception:  # whatever its own classes raise
        return None
