"""Data sets in the format of Hugging Face's ``datasets``: from its cache by name, or saved on disk."""

from __future__ import annotations

import importlib
import importlib.util
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from PIL import Image

from benchmark.config.errors import UserError, clean
from benchmark.config.missing import Missing
from benchmark.data.coop.image_file import to_rgb
from benchmark.data.coop.splits import SEED, SHARES, note_of, parted
from benchmark.data.coop.user_files import PARTS
from benchmark.data.dataset import Dataset, Examples, Splits, Subset

PREFIX = "hf:"


class HubImages:
    """The images of a table, decoded one by one on access."""

    def __init__(self, table: Any, column: str) -> None:
        self.table, self.column = table, column

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, index: int) -> Image.Image:
        """The image in RGB. The library has turned it as its EXIF data says.

        Raises:
            UserError: it cannot be decoded, or its range of values is not known.
        """
        where = f"image {index + 1}"
        try:
            image: Image.Image = self.table[index][self.column]
        except Exception as error:  # Pillow and datasets raise many kinds for damaged images
            raise UserError(f"cannot be read: {clean(error, 200)}", where=where, fix="remove it") from None
        return to_rgb(image, where)

    def pick(self, rows: tuple[int, ...]) -> Subset:
        return Subset(self, rows)

    @cached_property
    def digest(self) -> str:
        """The fingerprint that the library keeps of a table's content."""
        return f"{self.table._fingerprint} {self.column}"


def hub_dataset(
    source: str, *, template: str | None = None, shares: tuple[float, float] = SHARES, shots: int = 16
) -> type[Dataset]:
    """The data set class of a name in the hub's cache, ``hf:ORGANISATION/NAME`` or ``hf:ORGANISATION/NAME/CONFIGURATION``,
    or of a folder that ``save_to_disk`` wrote, ``hf:/path``.

    Args:
        source: With its prefix.
        template: The sentence that names a class; "a photo of a {}." unless given.
        shares: Of each class for training and for validation, where there is no split.
        shots: Training images of each class.
    """
    place = source.removeprefix(PREFIX)
    attributes = {
        "name": Path(place).name or place,
        "title": place,
        "template": template or Dataset.template,
        "source": f"Hugging Face: {place}",
        "shots": shots,
        "place": place,
        "shares": shares,
    }
    return type("HubDataset", (HubDataset,), attributes)


class HubDataset(Dataset):
    """Base of the classes that ``hub_dataset`` makes."""

    place: ClassVar[str]
    shares: ClassVar[tuple[float, float]]

    def missing(self) -> Missing | None:
        if importlib.util.find_spec("pyarrow") is None or importlib.util.find_spec("datasets") is None:
            return Missing(f"dataset {self.name!r}", "not installed: datasets", "pip install 'clip-compat-bench[hf]'")
        return None

    def load(self) -> Splits:
        tables = self._tables()
        image, label = _columns(next(iter(tables.values())), self.place)
        names = _names(tables, label, self.place)
        parts = {part: _examples(table, image, label, names) for part, table in tables.items()}
        if "test" not in parts and "val" in parts:
            parts["test"] = parts.pop("val")
        if "test" in parts:
            return Splits(names, parts["test"], parts.get("train"), parts.get("val"), note=f"split of {self.place}")
        return _divided(parts["train"], names, self.shares)

    def _tables(self) -> dict[str, Any]:
        """The tables by part."""
        datasets = _library()
        where = f"dataset {self.name!r}"
        try:
            if Path(self.place).exists():
                loaded: Any = datasets.load_from_disk(self.place)
            else:
                owner, name, *configuration = self.place.split("/")
                loaded = datasets.load_dataset(f"{owner}/{name}", *configuration)
        except Exception as error:  # the library raises many kinds
            fix = "load it once with datasets.load_dataset where there is a network, or name a folder of save_to_disk"
            raise UserError(f"cannot be loaded: {clean(error, 200)}", where=where, fix=fix) from None
        tables = loaded if isinstance(loaded, Mapping) else {"train": loaded}
        known = {part: table for part, names in PARTS.items() for name, table in tables.items() if name.lower() in names}
        if not known:
            raise UserError(f"its splits {', '.join(tables)} are unknown", where=where, fix="name them train and test")
        return known


def _library() -> Any:
    """Hugging Face's package. Python prefers it to this suite's folder of plugins, which is no package; mypy does not."""
    return importlib.import_module("datasets")


def _columns(table: Any, place: str) -> tuple[str, str]:
    """The columns with images and labels.

    Raises:
        UserError: there is no such column, or there are several.
    """
    datasets = _library()
    images = [name for name, kind in table.features.items() if isinstance(kind, datasets.Image)]
    labels = [name for name, kind in table.features.items() if isinstance(kind, datasets.ClassLabel)]
    labels = labels or [name for name in ("label", "labels", "class") if name in table.features]
    for what, found in (("images", images), ("labels", labels)):
        if len(found) != 1:
            fix = "keep one of each with select_columns and save it with save_to_disk"
            text = f"it has {len(found)} columns with {what}: {', '.join(found) or 'none'}"
            raise UserError(text, where=f"dataset {place!r}", fix=fix)
    return images[0], labels[0]


def _names(tables: Mapping[str, Any], label: str, place: str) -> tuple[str, ...]:
    """The class names: those of the column's type, or its texts in alphabetical order."""
    kind = next(iter(tables.values())).features[label]
    if getattr(kind, "names", None):
        return tuple(str(name).replace("_", " ") for name in kind.names)
    values = {value for table in tables.values() for value in table[label]}
    if not all(isinstance(value, str) for value in values):
        fix = "cast the column to datasets.ClassLabel with names"
        raise UserError(f"the labels in {label!r} have no names", where=f"dataset {place!r}", fix=fix)
    return tuple(sorted(values))


def _examples(table: Any, image: str, label: str, names: Sequence[str]) -> Examples:
    values = table[label]
    places = {name: place for place, name in enumerate(names)}
    return Examples(HubImages(table, image), tuple(places[v] if isinstance(v, str) else int(v) for v in values))


def _divided(every: Examples, names: tuple[str, ...], shares: tuple[float, float]) -> Splits:
    """Each class in three parts."""
    rows: dict[int, list[int]] = defaultdict(list)
    for row, label in enumerate(every.labels):
        rows[label].append(row)
    rng = random.Random(SEED)
    train, val, test = list[int](), list[int](), list[int]()
    for members in rows.values():
        rng.shuffle(members)
        for part, some in zip((train, val, test), parted(members, shares), strict=True):
            part += some
    train_part, val_part, test_part = (every.pick(sorted(part)) for part in (train, val, test))
    return Splits(names, test_part, train_part, val_part, note=note_of(shares))
