"""One image file: its pixels in RGB, or why it has none."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import numpy as np
from PIL import Image

from benchmark.config.errors import UserError

BITS_PER_SAMPLE = 258
"""Tag of TIFF."""
ENDS = {"JPEG": b"\xff\xd9", "PNG": b"IEND"}
"""What a whole file has near its end."""
DEEP = ("PNG", "PPM")
"""Formats whose integers have 16 bits; others have 32."""
TAIL = 4096
AGAIN, CONVERT = "get this file again", "convert it to 8 bits"


def read_image(file: Path) -> Image.Image:
    """An image in RGB, as the official code reads it: an EXIF orientation is not applied, transparency is dropped. Integers
    of more than 8 bits are scaled to 8.

    Raises:
        UserError: the file is missing or not an image, or its range of values is not known.
    """
    try:
        _check_kind(file)
        with Image.open(file) as image:
            return to_rgb(image, str(file))
    except FileNotFoundError:
        raise UserError("no such image", where=str(file), fix="the data set is incomplete: unpack it again") from None
    except Image.DecompressionBombError as error:
        raise UserError(f"too large: {error}", where=str(file), fix="make it smaller") from None
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        reason, fix = _guess(file) or (f"not a readable image: {error}", AGAIN)
        raise UserError(reason, where=str(file), fix=fix) from None


def _check_kind(file: Path) -> None:
    """Only regular files are opened: others may block for ever."""
    mode = os.stat(file).st_mode
    if not stat.S_ISREG(mode):
        what = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
        raise UserError(f"{what}, but named like an image", where=str(file), fix="rename or remove it")


def to_rgb(image: Image.Image, where: str) -> Image.Image:
    """An opened image in RGB, without transparency. Integers of more than 8 bits are scaled to 8.

    Args:
        image: As Pillow opened it, so that its format is known.
        where: What a message calls it.

    Raises:
        UserError: its range of values is not known.
    """
    if image.mode == "F" or (image.mode == "I" and image.format not in DEEP):
        kind = "floating-point numbers" if image.mode == "F" else "32-bit integers"
        raise UserError(f"its pixels are {kind} of unknown range", where=where, fix=CONVERT)
    if not image.mode.startswith("I"):
        return image.convert("RGB")
    bits = getattr(image, "tag_v2", {}).get(BITS_PER_SAMPLE, (16,))[0]
    scaled = np.asarray(image).astype(np.float64) * (255 / (2**bits - 1))
    return Image.fromarray(np.clip(scaled.round(), 0, 255).astype(np.uint8)).convert("RGB")


def _guess(file: Path) -> tuple[str, str] | None:
    """(what a file is that is no image, what to do), if its beginning tells."""
    try:
        with file.open("rb") as handle:
            start = handle.read(512).lstrip().lower()
    except OSError:
        return None
    if not start:
        return "an empty file", AGAIN
    if start.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not the image", "run 'git lfs pull' in its repository"
    if start.startswith((b"<!doctype html", b"<html")):
        return "a web page that was saved as an image", "download the image again"
    return None


def problem(file: Path) -> str:
    """Why an image cannot be used, with the fix; "" if it can. Looks at the header, and decodes only files without the end
    that their format should have."""
    try:
        _check_kind(file)
        with Image.open(file) as image:
            if image.mode in ("F", "I") or image.mode.startswith("I;") or not _ends_well(file, image.format):
                read_image(file)
        return ""
    except UserError as error:
        return str(error)
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError):
        pass
    try:
        read_image(file)
        return ""
    except UserError as error:
        return str(error)


def _ends_well(file: Path, kind: str | None) -> bool:
    with file.open("rb") as handle:
        handle.seek(0, os.SEEK_END)
        handle.seek(max(0, handle.tell() - TAIL))
        return kind in ENDS and ENDS[kind] in handle.read()
