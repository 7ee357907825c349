"""A user's folder of images as a data set, described in YAML (``FolderSpec``) without writing Python.

Three layouts are recognised: a CSV with the columns path, label and optionally split; folders train, val and test, each
with one folder per class; or only one folder per class, which is then split by rule.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from benchmark.config.errors import UserError, did_you_mean
from benchmark.config.missing import Missing
from benchmark.config.schema import FolderSpec
from benchmark.data.coop.files import SUFFIXES, list_folders, list_images
from benchmark.data.coop.layout import Counts, Item, Listing, PhotoDataset
from benchmark.data.coop.splits import split_classes
from benchmark.data.dataset import Augmentation, Dataset

PARTS = ("train", "val", "test")


class UserFolder(PhotoDataset):
    """Base of the classes that ``user_folder`` makes."""

    spec: ClassVar[FolderSpec]
    counts = Counts(None, None, None, None)
    again = "give every class training and test images (at least four images if the split is made by rule)"
    incomplete = "check the paths in the CSV: they are relative to it"
    by_content = True

    @property
    def root(self) -> Path:
        path = Path(self.spec.path)
        return path.parent if path.is_file() else path

    def missing(self) -> Missing | None:
        if os.path.exists(self.spec.path):
            return None
        return Missing(f"dataset {self.name!r}", f"not found: {self.spec.path}", "check its 'path' in the YAML")

    def rebuild(self) -> Listing:
        path = Path(self.spec.path)
        if path.is_file():
            rows = _read_csv(path)
        elif (path / "train").is_dir() and (path / "test").is_dir():
            rows = [row for part in PARTS if (path / part).is_dir() for row in _read_folders(path / part, part)]
        else:
            rows = _read_folders(path, "")
        if not rows:
            fix = "give a folder for each class, folders train and test with such folders, or a CSV"
            raise UserError("no images", where=f"dataset {self.name!r}: {path}", fix=fix)
        labels = {name: label for label, name in enumerate(self._order({label for _, label, _ in rows}))}
        items = [(Item(file, labels[label], self._class_name(label)), part) for file, label, part in rows]
        if any(part for _, part in items):
            train, val, test = ([item for item, part in items if part == name] for name in PARTS)
            return Listing(train, val, test, note=f"split of {path.name}")
        return split_classes(item for item, _ in items)

    def _order(self, labels: set[str]) -> list[str]:
        """Base classes first, in the order of the YAML; then the others, sorted."""
        for name in (*self.spec.base, *self.spec.class_names):
            if name not in labels:
                where = f"dataset {self.name!r}"
                raise UserError(f"there is no class {name!r}", where=where, fix=did_you_mean(name, sorted(labels)))
        return [*self.spec.base, *sorted(labels - set(self.spec.base))]

    def _class_name(self, label: str) -> str:
        return self.spec.class_names.get(label, label)


def user_folder(name: str, spec: FolderSpec) -> type[Dataset]:
    """The data set class of a folder in the YAML."""
    attributes = {
        "name": name,
        "title": spec.title or name,
        "template": spec.template,
        "context_words": spec.context_words,
        "licence": spec.licence,
        "source": f"the user's own: {spec.path}",
        "shots": spec.shots,
        "augmentation": Augmentation(crop=spec.crop, flip=spec.flip),
        "base_classes": len(spec.base) or None,
        "folder": "",
        "spec": spec,
    }
    return type("UserDataset", (UserFolder,), attributes)


def _read_folders(folder: Path, part: str) -> list[tuple[str, str, str]]:
    """(path, class, part) of the images in the class folders of ``folder``.

    Raises:
        UserError: a class folder has no images and is not part of a split.
    """
    prefix = f"{part}/" if part else ""
    rows = []
    for label in list_folders(folder):
        names = list_images(folder / label)
        if not names and not part:
            fix = f"remove the folder, or put images there ({', '.join(SUFFIXES)})"
            raise UserError("a class without images", where=str(folder / label), fix=fix)
        rows += [(f"{prefix}{label}/{name}", label, part) for name in names]
    return rows


def _read_csv(file: Path) -> list[tuple[str, str, str]]:
    """(path, class, part) of the rows of a CSV.

    Raises:
        UserError: a column is missing; a row has no path, no label or an unknown split; a path occurs twice; or only
            some rows have a split.
    """
    rows: dict[str, tuple[str, str, str]] = {}
    try:
        with file.open(newline="", encoding="utf-8-sig") as handle:
            reader = csv.DictReader(handle)
            columns: Sequence[str] = reader.fieldnames or ()
            for column in ("path", "label"):
                if column not in columns:
                    fix = "name the columns path, label, split in the first line, separated by commas"
                    raise UserError(f"no column {column!r}", where=str(file), fix=fix)
            for row in reader:
                where = f"{file}:{reader.line_num}"
                path, label, part = _row(row, where)
                if path in rows:
                    raise UserError(f"{path} is listed twice", where=where, fix="remove one of the rows")
                if rows and bool(part) != bool(next(iter(rows.values()))[2]):
                    raise UserError("some rows have a split and some have none", where=where, fix="fill in all or none")
                rows[path] = path, label, part
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"cannot be read: {error}", where=str(file), fix="save it as CSV in UTF-8") from None
    return list(rows.values())


def _row(row: Mapping[str, str | None], where: str) -> tuple[str, str, str]:
    path, label, part = ((row.get(name) or "").strip() for name in ("path", "label", "split"))
    if not path or not label:
        raise UserError("a row without path or label", where=where, fix="fill it in or remove the row")
    if part and part not in PARTS:
        raise UserError(f"unknown split {part!r}", where=where, fix=f"write one of {', '.join(PARTS)}")
    return path.replace("\\", "/"), label, part
