"""Images in files, which are opened one by one on access."""

from __future__ import annotations

import hashlib
import os
import stat
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, cached_property
from pathlib import Path

from PIL import Image

from benchmark.config.errors import UserError
from benchmark.data.coop.image_file import problem, read_image

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".ppm", ".pgm", ".pnm", ".tif", ".tiff")

THREADS = 8
"""For a quick look at many files; most of the time they wait for the disk."""


class ImageFiles:
    """Image files below a folder, named by paths with forward slashes."""

    def __init__(self, root: Path, paths: Iterable[str], *, by_content: bool = False) -> None:
        self.root, self.paths, self.by_content = root, tuple(paths), by_content

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Image.Image:
        """The image in RGB.

        Raises:
            UserError: the file is missing or not an image.
        """
        return read_image(self.root / self.paths[index])

    def problems(self) -> list[str]:
        """Why images cannot be used, one line each, from a quick look at every file."""
        with ThreadPoolExecutor(THREADS) as pool:
            return [reason for reason in pool.map(problem, [self.root / path for path in self.paths]) if reason]

    def pick(self, rows: tuple[int, ...]) -> ImageFiles:
        return ImageFiles(self.root, [self.paths[row] for row in rows], by_content=self.by_content)

    @cached_property
    def digest(self) -> str:
        """Hash of the paths, which does not depend on where the folder is. With ``by_content`` it covers the files' contents
        too, for data sets whose file names do not identify the images."""
        lines = (f"{path} {_digest(self.root / path)}" for path in self.paths) if self.by_content else self.paths
        return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()  # names need not be UTF-8


def _digest(file: Path) -> str:
    try:
        status = file.stat()
        if not stat.S_ISREG(status.st_mode):  # others may never end
            raise UserError("not a regular file", where=str(file), fix="rename or remove it")
        return _digest_once(file, status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", where=str(file), fix="check the file") from None


def copies(these: ImageFiles, those: ImageFiles) -> list[str]:
    """Paths of ``these`` whose files have the same content as a file of ``those``. Only files of equal size are read.

    Raises:
        UserError: a file cannot be read.
    """
    by_size: dict[int, list[Path]] = defaultdict(list)
    for path in those.paths:
        by_size[_size(those.root / path)].append(those.root / path)
    found = []
    for path in these.paths:
        alike = by_size.get(_size(these.root / path))
        if alike and _digest(these.root / path) in {_digest(file) for file in alike}:
            found.append(path)
    return found


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", where=str(file), fix="check the file") from None


@cache
def _digest_once(file: Path, size: int, time: int) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def list_images(folder: Path) -> list[str]:
    """Names of the image files in a folder, sorted, so that the order is the same on every machine.

    Recognised by their suffixes: a large data set has too many files to query each of them.
    """
    return sorted(name for name in list_names(folder) if is_image(name))


def is_image(name: str) -> bool:
    """True for a name that an image file has."""
    return name.lower().endswith(SUFFIXES)


def list_folders(folder: Path) -> list[str]:
    """Names of the folders in a folder, sorted."""
    return [entry.name for entry in list_entries(folder) if entry.is_dir()]


def list_names(folder: Path) -> list[str]:
    """Names of everything in a folder that is not hidden, sorted."""
    return [entry.name for entry in list_entries(folder)]


def list_entries(folder: Path) -> list[os.DirEntry[str]]:
    """Everything in a folder that is not hidden, sorted by name.

    Raises:
        UserError: it cannot be listed.
    """
    try:
        with os.scandir(folder) as entries:
            return sorted((e for e in entries if not e.name.startswith(".")), key=lambda entry: entry.name)
    except OSError as error:
        fix = "unpack the data set again"
        raise UserError(f"cannot be listed: {error.strerror}", where=str(folder), fix=fix) from None
