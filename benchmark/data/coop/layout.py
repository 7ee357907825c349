"""Data sets of photographs in the folder layout that the CoOp family of repositories shares (``DATASETS.md`` of CoOp).

A folder that those repositories read is read here without changes. If the split file is absent, the split is made by the
rule in CoOp's code, but from sorted listings and with a fixed seed, so that every machine makes the same split.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from benchmark.config.errors import UserError
from benchmark.config.missing import Missing
from benchmark.data.coop.files import ImageFiles, copies, list_names
from benchmark.data.dataset import Counts as Counts
from benchmark.data.dataset import Dataset, Examples, Splits

FEW = 5
"""Names of what is in a folder that a message shows."""
LAYOUT = "https://github.com/KaiyangZhou/CoOp/blob/main/DATASETS.md"


@dataclass(frozen=True)
class Item:
    """One line of a split: path below the image folder, label, class name."""

    path: str
    label: int
    name: str


@dataclass(frozen=True)
class Listing:
    """The items of a data set in file order, and a sentence about the origin of the split."""

    train: Sequence[Item]
    val: Sequence[Item]
    test: Sequence[Item]
    note: str = ""
    warnings: tuple[str, ...] = ()
    """What was not read."""


@dataclass(frozen=True)
class Fetch:
    """How torchvision downloads a data set: its class, and where the unpacked files belong in our folder."""

    cls: str
    moves: Mapping[str, str]
    """Maps paths below torchvision's root to paths below the data set's folder."""


class PhotoDataset(Dataset):
    """Base of data sets with train, val and test splits in ``<data root>/<folder>``."""

    folder: ClassVar[str]
    image_folder: ClassVar[str] = ""
    """The folder that the paths of the split are relative to."""
    image_parts: ClassVar[tuple[str, ...]] = ("",)
    """Subfolders of it that must exist; the default is the folder itself."""
    split_file: ClassVar[str] = ""
    """JSON with train, val and test, each a list of [path, label, class name]; "" if there is none."""
    needs: ClassVar[tuple[str, ...]] = ()
    """Files that ``rebuild`` reads in addition to the images."""
    counts: ClassVar[Counts]
    size: ClassVar[str] = ""
    """Of the download."""
    where: ClassVar[str] = LAYOUT
    """Page to get it from."""
    fetch: ClassVar[Fetch | None] = None
    again: ClassVar[str] = "get the data set and its split again"
    """What to do about an invalid split."""
    incomplete: ClassVar[str] = "unpack the data set again"
    """What to do about images that are missing."""
    by_content: ClassVar[bool] = False
    """Whether images are identified by the contents of their files; paths suffice for published data sets."""

    @property
    def root(self) -> Path:
        """The data set's folder.

        Raises:
            UserError: the user gave no data root.
        """
        if self.data_root is None:
            raise UserError(f"dataset {self.name!r} is read from files", fix="say where they are with --data-root")
        return self.data_root / self.folder

    @property
    def images(self) -> Path:
        return self.root / self.image_folder

    def missing(self) -> Missing | None:
        what = f"dataset {self.name!r}"
        if self.data_root is None:
            return Missing(what, "no data root was named", "give --data-root", self.size)
        required = [self.images / part for part in self.image_parts]
        if not (self.split_file and (self.root / self.split_file).is_file()):
            required += [self.root / file for file in self.needs]
        absent = [path for path in required if not path.exists()]
        if not absent:
            return None
        how = f"see {self.where}" + (f"; the folder layout is that of {LAYOUT}" if self.where != LAYOUT else "")
        targets = {self.root / target for target in self.fetch.moves.values()} if self.fetch else set()
        fetchable = any(not targets.isdisjoint((path, *path.parents)) for path in absent)
        reason = f"not found: {', '.join(map(str, absent))}"
        held = list_names(self.root) if self.root.is_dir() else []
        if held and not any((self.images / part).exists() for part in self.image_parts):  # perhaps a mirror
            reason += f"; {self.root} holds {', '.join(held[:FEW])}{', ...' if len(held) > FEW else ''}"
            how += "; a mirror with a folder for each class can be read as a folder of your own, under 'folders' in the YAML"
        return Missing(what, reason, how, self.size, fetchable)

    def prepare(self) -> None:
        missing = self.missing()
        if missing is None:
            return
        root = self.root
        if self.fetch is None or not missing.fetchable:
            raise UserError(f"{missing.what} cannot be fetched automatically: {missing.reason}", fix=missing.how)
        from torchvision import datasets  # slow to import, and only needed here

        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root) as scratch:
            try:
                getattr(datasets, self.fetch.cls)(scratch, download=True)
            except Exception as error:  # downloads raise many kinds of errors
                fix = f"get it from {self.where} and put it in {root}"
                raise UserError(f"{missing.what} could not be fetched: {error}", fix=fix) from error
            for source, target in self.fetch.moves.items():
                if not (root / target).exists():  # files of the user stay
                    shutil.move(Path(scratch) / source, root / target)
        missing = self.missing()
        if missing:
            raise UserError(f"{missing.what} was fetched, but is incomplete: {missing.reason}", fix=missing.how)

    def load(self) -> Splits:
        self.check_present()
        file = self.root / self.split_file
        if self.split_file and file.is_file():
            return self._splits(read_split(file), file)
        return self._splits(self.rebuild(), self.images)

    def check_present(self) -> None:
        """Check that nothing is missing.

        Raises:
            UserError: something is.
        """
        missing = self.missing()
        if missing:
            raise UserError(f"{missing.what}: {missing.reason}", fix=missing.how)

    def rebuild(self) -> Listing:
        """Make the split if there is no split file."""
        raise NotImplementedError

    def count_warnings(self, **counts: int) -> tuple[str, ...]:
        """One warning per count (of classes, or of images in train, val or test) that differs from the published one."""
        published = {part: getattr(self.counts, part) for part in counts}
        return tuple(
            f"dataset {self.name!r} has {count:,} {part if part == 'classes' else f'{part} images'}, published: {expected:,}"
            for (part, count), expected in zip(counts.items(), published.values(), strict=True)
            if expected is not None and count != expected
        )

    def _splits(self, listing: Listing, source: Path) -> Splits:
        items = (*listing.train, *listing.val, *listing.test)
        names = {item.label: item.name for item in reversed(items)}
        where, fix = f"dataset {self.name!r}: {source}", self.again
        if not names:
            raise UserError("no images in the split", where=where, fix=fix)
        if sorted(names) != list(range(len(names))):
            raise UserError(f"labels must be 0 to {len(names) - 1} without gaps", where=where, fix=fix)
        for part, what in ((listing.train, "training"), (listing.test, "test")):
            for label in sorted(names.keys() - {item.label for item in part}):
                raise UserError(f"class {names[label]!r} has no {what} image", where=where, fix=fix)
        other = next((item for item in items if item.name != names[item.label]), None)
        if other:
            what = f"label {other.label} has two names, {names[other.label]!r} and {other.name!r}"
            raise UserError(what, where=where, fix=fix)
        tested = {item.path for item in listing.test}
        again = [item.path for item in (*listing.train, *listing.val) if item.path in tested]
        if again:
            what = f"{len(again):,} training or validation images are also test images, such as {again[0]}"
            raise UserError(what, where=where, fix=fix)
        self._check_files(items)
        files = [self._files(part) for part in (listing.train, listing.val, listing.test)]
        train, val, test = (
            Examples(images, tuple(item.label for item in part))
            for images, part in zip(files, (listing.train, listing.val, listing.test), strict=True)
        )
        warnings = [*listing.warnings, *(_copied(files) if self.by_content else ())]
        return Splits(
            tuple(names[label] for label in range(len(names))),
            test=test,
            train=train,
            val=val or None,
            note=listing.note,
            warnings=(
                *(f"dataset {self.name!r}: {warning}" for warning in warnings),
                *self.count_warnings(classes=len(names), train=len(train), val=len(val), test=len(test)),
            ),
        )

    def _files(self, items: Sequence[Item]) -> ImageFiles:
        return ImageFiles(self.images, [item.path for item in items], by_content=self.by_content)

    def _check_files(self, items: Sequence[Item]) -> None:
        """Check that the files of a split exist, listing each folder once."""
        listings: dict[str, set[str]] = {}
        absent = []
        for item in items:
            parent, _, name = item.path.rpartition("/")
            if parent not in listings:
                folder = self.images / parent
                listings[parent] = set(list_names(folder)) if folder.is_dir() else set()
            if name not in listings[parent]:
                absent.append(item.path)
        if absent:
            count = f"{len(absent)} of {len(items)} images are missing, the first is {absent[0]}"
            raise UserError(count, where=f"dataset {self.name!r}: {self.images}", fix=self.incomplete)


def _copied(files: Sequence[ImageFiles]) -> list[str]:
    """A sentence about test images that are training or validation images, too."""
    train, val, test = files
    found = list(dict.fromkeys([*copies(test, train), *copies(test, val)]))
    if not found:
        return []
    return [f"{len(found):,} of {len(test):,} test images are also training or validation images, such as {found[0]}"]


def read_split(file: Path) -> Listing:
    """A split file of the CoOp family: an object with train, val and test, each a list of [path, label, class name].

    Raises:
        UserError: the file has another format.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
        parts = [
            [Item(str(path).replace("\\", "/"), _label(label), str(name)) for path, label, name in content[part]]
            for part in ("train", "val", "test")
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        fix = "get the split file again, or remove it so that the split is made by rule"
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"not a split file ({reason})", where=str(file), fix=fix) from None
    return Listing(parts[0], parts[1], parts[2], note=f"split of {file.name}")


def _label(value: object) -> int:
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"label {value!r}")
    return value
