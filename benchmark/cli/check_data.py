"""Print what is read of a data set, and everything about it that looks wrong."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import open_clip
from rich.console import Console

from benchmark.cli.console import counts_table, progress_console
from benchmark.cli.execution import spec_of
from benchmark.config.errors import UserError
from benchmark.config.files import write_atomically
from benchmark.config.schema import FolderSpec
from benchmark.data.batch import ClassList
from benchmark.data.checks import counts, same_prompts, unusable_images
from benchmark.data.contact_sheet import contact_sheet, png
from benchmark.data.coop.user_folder import user_folder
from benchmark.data.dataset import Dataset, Examples, Splits
from benchmark.data.duplicates import LARGEST, Place, find_duplicates
from benchmark.data.hub_dataset import PREFIX, hub_dataset
from benchmark.experiment.loading import read_apart
from benchmark.experiment.session import expand, registries
from benchmark.report.numbers import plural

FEW = 10
"""Examples of one kind of problem that are shown."""


def run(options: argparse.Namespace) -> int:
    """Print it; returns the exit status: 1 if some image cannot be used."""
    dataset = _dataset(options)
    console, progress = Console(highlight=False), progress_console()
    with progress.status(f"reading {dataset.name}"):
        splits = read_apart([dataset])[dataset.name]
    console.print(counts_table(dataset, splits, counts(splits)))
    if splits.note:
        console.print(splits.note, markup=False, soft_wrap=True)
    with progress.status("looking at every image"):
        parts = {"train": splits.train, "val": splits.val, "test": splits.test}
        present = {name: part for name, part in parts.items() if part is not None}
        broken = unusable_images(present.values())
        problems = [*broken[:FEW], *([f"{plural(len(broken), 'image')} cannot be used"] if broken else [])]
        problems += [*splits.warnings, *_prompts(dataset, splits), *_duplicates(splits, present)]
    for problem in problems:
        console.print(f"- {problem}", markup=False, soft_wrap=True)
    if not problems:
        console.print("nothing looks wrong")
    write_atomically(options.sheet, png(contact_sheet(splits)))
    console.print(f"a few images of each class: {options.sheet}", markup=False, soft_wrap=True)
    return 1 if broken else 0


def _dataset(options: argparse.Namespace) -> Dataset:
    """The data set of a name, or a folder or CSV as it is."""
    if options.name.startswith(PREFIX):
        return hub_dataset(options.name)()
    path = Path(options.name)
    if path.exists():
        return user_folder(path.stem or "folder", FolderSpec(path=str(expand(path))))()
    spec = spec_of(options)
    _, datasets = registries(spec)
    try:
        cls = datasets[options.name].cls
    except UserError as error:
        raise UserError(error.message, fix=f"{error.fix}, or name a folder or CSV") from None
    return cls(Path(spec.data_root) if spec.data_root else None)


def _prompts(dataset: Dataset, splits: Splits) -> Iterator[str]:
    """Classes that CLIP's tokenizer cannot tell apart."""
    texts = ClassList(splits.classes, dataset.template).texts()
    return same_prompts(splits.classes, open_clip.tokenize(texts).tolist())


def _duplicates(splits: Splits, parts: dict[str, Examples]) -> Iterator[str]:
    """Identical and similar images, those in different parts or classes first."""
    found = find_duplicates(parts)
    if found.similar is None:
        yield f"nearly identical images were not looked for: there are more than {LARGEST:,}"
    for groups, what in ((found.identical, "identical"), (found.similar or [], "nearly identical")):
        for group in sorted(groups, key=_harmless)[:FEW]:
            yield f"{what}: {', '.join(_described(place, splits, parts) for place in group[:FEW])}"
        if len(groups) > FEW:
            yield f"{len(groups):,} groups of {what} images, {sum(map(_crosses, groups)):,} of them in more than one part"


def _crosses(group: list[Place]) -> bool:
    return len({place.part for place in group}) > 1


def _harmless(group: list[Place]) -> tuple[bool, bool]:
    return not _crosses(group), len({place.label for place in group}) == 1


def _described(place: Place, splits: Splits, parts: dict[str, Examples]) -> str:
    """An image's file, or its number where it is in no file."""
    paths = getattr(parts[place.part].images, "paths", None)
    name = paths[place.row] if paths else f"image {place.row + 1}"
    return f"{place.part} {name} ({splits.classes[place.label]})"
