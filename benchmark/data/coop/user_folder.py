"""A user's folder of images as a data set, described in YAML (``FolderSpec``) without writing Python.

A folder without a split, see ``user_files``, is split by rule.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from benchmark.config.errors import UserError, did_you_mean
from benchmark.config.missing import Missing
from benchmark.config.schema import FolderSpec
from benchmark.data.coop.layout import Counts, Item, Listing, PhotoDataset
from benchmark.data.coop.splits import SHARES, split_classes
from benchmark.data.coop.user_files import PARTS, read_rows
from benchmark.data.dataset import Augmentation, Dataset


class UserFolder(PhotoDataset):
    """Base of the classes that ``user_folder`` makes."""

    spec: ClassVar[FolderSpec]
    shares: ClassVar[tuple[float, float]]
    counts = Counts(None, None, None, None)
    again = "give every class training and test images (at least four images if the split is made by rule)"
    incomplete = "check the paths in the CSV: they are relative to it"
    by_content = True
    shows_images = True

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
        found = read_rows(path)
        if not found.rows:
            fix = "give a folder for each class, folders train and test with such folders, or a CSV"
            raise UserError("no images", where=f"dataset {self.name!r}: {path}", fix=fix)
        rows = found.rows
        labels = {name: label for label, name in enumerate(self._order({label for _, label, _ in rows}))}
        items = [(Item(file, labels[label], self._class_name(label)), part) for file, label, part in rows]
        if any(part for _, part in items):
            train, val, test = ([item for item, part in items if part == name] for name in PARTS)
            return Listing(train, val, test, note=f"split of {path.name}", warnings=found.warnings)
        return replace(split_classes((item for item, _ in items), self.shares), warnings=found.warnings)

    def _order(self, labels: set[str]) -> list[str]:
        """Base classes first, in the order of the YAML; then the others, sorted."""
        for name in (*self.spec.base, *self.spec.class_names):
            if name not in labels:
                where = f"dataset {self.name!r}"
                raise UserError(f"there is no class {name!r}", where=where, fix=did_you_mean(name, sorted(labels)))
        return [*self.spec.base, *sorted(labels - set(self.spec.base))]

    def _class_name(self, label: str) -> str:
        return self.spec.class_names.get(label, label)


def user_folder(name: str, spec: FolderSpec, shares: tuple[float, float] = SHARES) -> type[Dataset]:
    """The data set class of a folder in the YAML. ``shares``: see ``split_classes``, for a folder without a split."""
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
        "shares": shares,
    }
    return type("UserDataset", (UserFolder,), attributes)
