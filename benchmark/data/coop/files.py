"""Images in files, which are opened one by one on access."""

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
            UserError: the file is missing or not an image.
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
        """Hash of the paths, which does not depend on where the folder is. With ``by_content`` it covers the files' contents
        too, for data sets whose file names do not identify the images."""
        lines = (f"{path} {_digest(self.root / path)}" for path in self.paths) if self.by_content else self.paths
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _digest(file: Path) -> str:
    try:
        status = file.stat()
        return _digest_once(file, status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", where=str(file), fix="check the file") from None


@cache
def _digest_once(file: Path, size: int, time: int) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def list_images(folder: Path) -> list[str]:
    """Names of the image files in a folder, sorted, so that the order is the same on every machine.

    Recognised by their suffixes: a large data set has too many files to query each of them.
    """
    return sorted(name for name in list_names(folder) if name.lower().endswith(SUFFIXES))


def list_folders(folder: Path) -> list[str]:
    """Names of the folders in a folder, sorted."""
    return sorted(entry.name for entry in _entries(folder) if entry.is_dir())


def list_names(folder: Path) -> list[str]:
    """Names of everything in a folder that is not hidden, in arbitrary order."""
    return [entry.name for entry in _entries(folder)]


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        fix = "unpack the data set again"
        raise UserError(f"cannot be listed: {error.strerror}", where=str(folder), fix=fix) from None
