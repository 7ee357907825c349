"""Which images a user's folder or CSV names, of what class and in what part, and what in it is not read.

Three layouts are recognised: a CSV with the columns path, label and perhaps split; folders for the parts train, val and
test, each with one folder per class; or only one folder per class.
"""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from benchmark.config.errors import UserError
from benchmark.data.coop.files import SUFFIXES, is_image, list_entries

PARTS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
"""The parts of a split, and what people call their folders, in any case."""
UNLABELLED = ("unlabeled", "unlabelled", "__macosx")
"""Folders beside the parts that hold no labelled images."""


class Row(NamedTuple):
    """One image."""

    path: str
    """With forward slashes, below the folder or relative to the CSV."""
    label: str
    part: str
    """"" if the user made no split."""


@dataclass
class Found:
    """What was read, and what was not."""

    rows: list[Row] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    """Files that are not read but may have been meant to be, by what they are. Hidden ones are not counted."""
    others: int = 0
    """Other files outside the class folders, such as a licence."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """One line about everything that was skipped."""
        if not self.skipped:
            return ()
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(self.skipped.items()))
        return (f"not read: {kinds} (image files end in {', '.join(SUFFIXES)})",)


def read_rows(path: Path) -> Found:
    """All images of a folder or CSV.

    Raises:
        UserError: the layout is ambiguous or incomplete, a class has no image, or a row of the CSV is not valid.
    """
    if not path.is_dir():
        return _read_csv(path)
    found, parts = Found(), _part_folders(path)
    if not parts:
        _read_classes(path, "", "", found)
        return found
    for entry in list_entries(path):
        if entry.name not in parts.values():
            _skip(entry, "outside the parts", found)
    for part, name in parts.items():
        _read_classes(path / name, f"{name}/", part, found)
    return found


def _part_folders(path: Path) -> dict[str, str]:
    """The folder of each part; empty if the folders are classes."""
    folders = [entry.name for entry in list_entries(path) if entry.is_dir()]
    named = [part for part, names in PARTS.items() if any(name.lower() in names for name in folders)]
    parts: dict[str, str] = {}
    for part, names in PARTS.items():
        mine = [name for name in folders if name.lower() in names and not _is_class(path / name)]
        if len(mine) > 1:
            what = f"{' and '.join(mine)} are both folders of {part} images"
            raise UserError(what, where=str(path), fix="put their images into one")
        parts |= dict.fromkeys([part], mine[0]) if mine else {}
    if {"train", "test"} <= {*named} - parts.keys():
        what = "the images of train and test are not in class folders"
        raise UserError(what, where=str(path), fix="make a folder for each class in both")
    others = [name for name in folders if name not in parts.values() and name.lower() not in UNLABELLED]
    if not parts or parts.keys() >= {"train", "test"}:
        return parts
    absent = "test" if "train" in parts else "train"
    what = f"there is {'/, '.join(parts.values())}/ but no {absent}/"
    if others:
        what += f", and {others[0]}/ is no part of a split"
    fix = f"name the folder of {absent} images {absent!r}, or put all class folders side by side to have them split by rule"
    raise UserError(what, where=str(path), fix=fix)


def _is_class(folder: Path) -> bool:
    """True for a folder of images alone, which is a class even if it is called train."""
    entries = list_entries(folder)
    return any(is_image(entry.name) for entry in entries) and not any(entry.is_dir() for entry in entries)


def _read_classes(folder: Path, prefix: str, part: str, found: Found) -> None:
    """Add the images in the class folders of ``folder``."""
    for entry in list_entries(folder):
        if entry.is_dir() and entry.name.lower() not in UNLABELLED:
            _read_class(folder / entry.name, f"{prefix}{entry.name}/", Row("", entry.name, part), found)
        else:
            _skip(entry, "outside the class folders", found)


def _skip(entry: os.DirEntry[str], kind: str, found: Found) -> None:
    """Count a file, or the files in a folder, that are not read."""
    for name in _files_in(entry):
        if entry.is_dir() or is_image(name):
            found.skipped[f"in {entry.name!r}" if entry.is_dir() else kind] += 1
        else:
            found.others += 1


def _files_in(entry: os.DirEntry[str]) -> list[str]:
    """Names of the files in a folder and its subfolders, or of a file alone, without hidden ones."""
    if not entry.is_dir():
        return [entry.name]
    return [name for inner in list_entries(Path(entry.path)) for name in _files_in(inner)]


def _read_class(folder: Path, prefix: str, row: Row, found: Found) -> None:
    images, skipped = [], Counter[str]()
    for entry in list_entries(folder):
        if is_image(entry.name) and not entry.is_dir():
            images.append(row._replace(path=f"{prefix}{entry.name}"))
        else:
            kind = "in subfolders of a class" if entry.is_dir() else Path(entry.name).suffix.lower() or "without a suffix"
            skipped[kind] += len(_files_in(entry))
    if not images and (skipped or not row.part):
        inside = ", ".join(f"{count} {kind}" for kind, count in sorted(skipped.items()))
        what = "a class without images" + (f"; it holds {inside}" if inside else "")
        fix = f"remove the folder, or put images there directly ({', '.join(SUFFIXES)})"
        raise UserError(what, where=str(folder), fix=fix)
    found.rows += images
    found.skipped.update(skipped)


def _read_csv(file: Path) -> Found:
    found, seen = Found(), set()
    if not file.is_file():
        raise UserError("neither a folder nor a file", where=str(file), fix="name a folder or a CSV")
    for line, fields in _csv_lines(file):
        where = f"{file}:{line}"
        row = _row(fields, where)
        if row.path in seen:
            raise UserError(f"{row.path} is listed twice", where=where, fix="remove one of the rows")
        if found.rows and bool(row.part) != bool(found.rows[0].part):
            raise UserError("some rows have a split and some have none", where=where, fix="fill in all or none")
        seen.add(row.path)
        found.rows.append(row)
    return found


def _csv_lines(file: Path) -> Iterator[tuple[int, Mapping[str, str]]]:
    """(line number, fields by column) of the rows that are not blank."""
    try:
        with file.open(newline="", encoding="utf-8-sig") as handle:
            reader = csv.reader(handle, skipinitialspace=True, strict=True)
            columns = [name.strip() for name in next(reader, [])]
            _check_columns(columns, str(file))
            for fields in reader:
                fields = [text.strip() for text in fields]
                if not any(fields):
                    continue  # spreadsheets leave such lines at the end
                if any(fields[len(columns) :]):
                    what = f"{len(fields)} fields, but {len(columns)} columns"
                    raise UserError(
                        what, where=f"{file}:{reader.line_num}", fix='put a label with a comma in quotes: "a, b"'
                    )
                yield reader.line_num, dict(zip(columns, fields, strict=False))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"cannot be read: {error}", where=str(file), fix="save it as CSV in UTF-8") from None


def _check_columns(columns: list[str], where: str) -> None:
    for column in ("path", "label"):
        if column not in columns:
            fix = "name the columns path, label, split in the first line, separated by commas"
            raise UserError(f"no column {column!r}", where=where, fix=fix)
    twice = [name for name, count in Counter(columns).items() if name and count > 1]
    if twice:
        raise UserError(f"column {twice[0]!r} is given twice", where=where, fix="remove one of them")


def _row(fields: Mapping[str, str], where: str) -> Row:
    path, label, part = (fields.get(name, "") for name in ("path", "label", "split"))
    if not path or not label:
        raise UserError("a row without path or label", where=where, fix="fill it in or remove the row")
    if part and part not in PARTS:
        raise UserError(f"unknown split {part!r}", where=where, fix=f"write one of {', '.join(PARTS)}")
    return Row(path.replace("\\", "/"), label, part)
