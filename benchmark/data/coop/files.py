"""Images that lie in files, opened one by one when they are asked for."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from functools import cache, cached_property
from pathlib import Path

from PIL import Image

from benchmark.config.errors import UserError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".ppm", ".tif", ".tiff")


class ImageFiles:
    """Image files below a folder, named by paths with forward slashes."""

    def __init__(self, root: Path, paths: Iterable[str], *, by_content: bool = False) -> None:
        self.root, self.paths, self.by_content = root, tuple(paths), by_content

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Image.Image:
        """The image in RGB.

        Raises:
            UserError: the file is missing or is no image.
        """
        file = self.root / self.paths[index]
        try:
            with Image.open(file) as image:
                return image.convert("RGB")
        except FileNotFoundError:
            raise UserError("no such image", where=str(file), fix="the data set is incomplete: unpack it again") from None
        except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
            raise UserError(f"not a readable image: {error}", where=str(file), fix="get this file again") from None

    def pick(self, rows: tuple[int, ...]) -> ImageFiles:
        return ImageFiles(self.root, [self.paths[row] for row in rows], by_content=self.by_content)

    @cached_property
    def digest(self) -> str:
        """Hash of the paths: the same wherever the folder lies. The files' contents are read for it only ``by_content``,
        where a name does not say which image it is."""
        lines = (f"{path} {_digest(self.root / path)}" for path in self.paths) if self.by_content else self.paths
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _digest(file: Path) -> str:
    try:
        about = file.stat()
        return _digest_once(file, about.st_size, about.st_mtime_ns)
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", where=str(file), fix="check the file") from None


@cache
def _digest_once(file: Path, size: int, time: int) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def list_images(folder: Path) -> list[str]:
    """Names of the image files in a folder, sorted, so that every machine lists them alike.

    Told by their names alone: a large data set has too many to ask the disk about each.
    """
    return sorted(name for name in list_names(folder) if name.lower().endswith(SUFFIXES))


def list_folders(folder: Path) -> list[str]:
    """Names of the folders in a folder, sorted."""
    return sorted(entry.name for entry in _entries(folder) if entry.is_dir())


def list_names(folder: Path) -> list[str]:
    """Names of everything in a folder that is not hidden, in no order."""
    return [entry.name for entry in _entries(folder)]


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        fix = "unpack the data set again"
        raise UserError(f"cannot be listed: {error.strerror}", where=str(folder), fix=fix) from None
