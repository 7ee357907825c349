"""Lists everything that a run needs and this machine lacks, before the first cell starts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich.console import Console

from benchmark.backbones import weights
from benchmark.config.errors import UserError
from benchmark.config.missing import Missing
from benchmark.config.schema import BackboneSpec
from benchmark.data.dataset import Dataset


def missing(backbones: Mapping[str, BackboneSpec], datasets: Iterable[Dataset]) -> list[Missing]:
    """Everything that must be fetched or put in place."""
    absences = [weights.missing(name, spec) for name, spec in backbones.items()]
    absences += [dataset.missing() for dataset in datasets]
    return [absence for absence in absences if absence is not None]


def require(backbones: Mapping[str, BackboneSpec], datasets: Iterable[Dataset], console: Console) -> None:
    """Stop the run if anything is missing, and list it.

    Raises:
        UserError: something is missing.
    """
    lacking = missing(backbones, datasets)
    if not lacking:
        return
    list_missing(lacking, console)
    some = "; --prepare fetches what can be fetched" if any(item.fetchable for item in lacking) else ""
    first = f"{lacking[0].what}: {lacking[0].reason}" if len(lacking) == 1 else f"{len(lacking)} things are missing"
    raise UserError(first, fix=f"put in place what is listed above{some}")


def prepare(backbones: Mapping[str, BackboneSpec], datasets: Iterable[Dataset], console: Console) -> int:
    """Fetch what is missing and can be fetched; returns the exit status, 0 if nothing is missing afterwards."""
    datasets = list(datasets)
    for name, spec in backbones.items():
        if weights.missing(name, spec):
            _try(f"weights of backbone {name!r}", lambda name=name, spec=spec: weights.fetch(name, spec), console)  # type: ignore[misc]
    for dataset in datasets:
        lacks = dataset.missing()
        if lacks and lacks.fetchable:
            _try(lacks.what, dataset.prepare, console)
    left = missing(backbones, datasets)
    if left:
        list_missing(left, console)
        return 2
    console.print("everything is in place")
    return 0


def _try(what: str, action: object, console: Console) -> None:
    console.print(f"fetching {what}", markup=False)
    try:
        action()  # type: ignore[operator]
    except UserError as error:
        console.print(f"error: {error}", style="bold red", markup=False, soft_wrap=True)


def list_missing(lacking: Iterable[Missing], console: Console) -> None:
    """One item after the other; lines are not wrapped, so that paths and addresses can be copied."""
    console.print("missing:")
    for item in lacking:
        size = f" ({item.size})" if item.size else ""
        for line in (f"- {item.what}{size}", f"    looked for: {item.reason}", f"    how to get it: {item.how}"):
            console.print(line, markup=False, soft_wrap=True)
