"""ImageNet and its shifted test sets: one folder per class and no split file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from benchmark.config.errors import UserError
from benchmark.data.coop.files import ImageFiles, list_folders
from benchmark.data.coop.layout import LAYOUT, PhotoDataset
from benchmark.data.coop.listing import listed
from benchmark.data.coop.splits import read_lines
from benchmark.data.dataset import Examples, Splits
from benchmark.data.prompt_texts import IMAGENET_CLASSNAMES, SIMPLE_IMAGENET_TEMPLATES

CLASSNAMES = "classnames.txt"


class ImageNetDataset(PhotoDataset):
    """Folders named by WordNet ids, such as ``n01440764``; labels follow the sorted names.

    Classes are identified by folder or label, never by name: "missile" and "sunglasses" are the names of two classes each.
    """

    ensemble = tuple(fill("{}") for fill in SIMPLE_IMAGENET_TEMPLATES)
    """The seven templates that few-shot code averages over on ImageNet."""
    train_folder: ClassVar[str | None] = None
    """Below the image folder; None if there are no training images."""
    test_folder: ClassVar[str] = ""
    """Below the image folder."""
    rows: ClassVar[Sequence[int]] = range(len(IMAGENET_CLASSNAMES))
    """Rows of its classes among the 1,000 of ImageNet, which give the names if there is no ``classnames.txt``."""

    def load(self) -> Splits:
        self.check_present()
        names = self.class_names()
        test = self._examples(self.test_folder, list(names))
        train = self._examples(self.train_folder, list(names)) if self.train_folder is not None else None
        return Splits(
            tuple(names.values()),
            test=test,
            train=train,
            note=f"class names of {CLASSNAMES if self.names_file() else 'open_clip'}",
            warnings=self.count_warnings(classes=len(names), train=len(train or ()), test=len(test)),
        )

    def class_names(self) -> dict[str, str]:
        """The name for each folder, in the order of the labels."""
        test_folder = self.images / self.test_folder
        folders = list_folders(test_folder)
        if not folders:
            raise UserError("no class folders", where=str(test_folder), fix="sort the images into a folder for each class")
        file = self.names_file()
        if file is not None:
            names = read_classnames(file)
            unnamed = [folder for folder in folders if folder not in names]
            if unnamed:
                raise UserError(f"no name for the folder {unnamed[0]}", where=str(file), fix=f"get it again, see {LAYOUT}")
            return {folder: names[folder] for folder in folders}
        if len(folders) != len(self.rows):
            count = f"{len(folders)} class folders, {len(self.rows)} expected, and no {CLASSNAMES} to name them"
            raise UserError(count, where=str(test_folder), fix=f"put {CLASSNAMES} into {self.root}, see {LAYOUT}")
        return {folder: IMAGENET_CLASSNAMES[row] for folder, row in zip(folders, self.rows, strict=True)}

    def names_file(self) -> Path | None:
        """``classnames.txt`` of this data set or of ImageNet itself, if there is one."""
        files = [folder / CLASSNAMES for folder in (self.root, self.root.parent / "imagenet")]
        return next((file for file in files if file.is_file()), None)

    def _examples(self, part: str, folders: Sequence[str]) -> Examples:
        root, fix = self.images / part, "unpack the data set again"
        unmatched = sorted(set(folders).symmetric_difference(list_folders(root)))
        if unmatched:
            count = f"{len(unmatched)} class folders are not in both, such as {unmatched[0]}"
            raise UserError(count, where=f"{self.images / self.test_folder} and {root}", fix=fix)
        paths: list[str] = []
        labels: list[int] = []
        below = [f"{part}/{folder}" if part else folder for folder in folders]
        for label, (path, names) in enumerate(listed(self.images, below).items()):
            if not names:
                raise UserError("a class without images", where=str(self.images / path), fix=fix)
            paths += [f"{path}/{name}" for name in names]
            labels += [label] * len(names)
        return Examples(ImageFiles(self.images, paths), tuple(labels))


def read_classnames(file: Path) -> dict[str, str]:
    """The class name for each WordNet id, in the order of the file.

    Raises:
        UserError: the file has another format, or an id occurs twice.
    """

    def parse(line: str) -> tuple[str, str]:
        wnid, name = line.split(maxsplit=1)
        return wnid, name

    pairs = read_lines(file, parse)
    names = dict(pairs)
    if len(names) != len(pairs):
        raise UserError("an id occurs twice", where=str(file), fix=f"get it again, see {LAYOUT}")
    return names
