"""Writes a file that a command makes for the user, and overwrites nothing."""

from __future__ import annotations

from pathlib import Path

from benchmark.config.errors import UserError


def write_new_file(file: Path, text: str, *, fix: str) -> None:
    """Write a file that does not exist yet, and the folders above it.

    Args:
        file: Where.
        text: Its content.
        fix: What the user can do if the file cannot be written.

    Raises:
        UserError: the file exists, or cannot be written.
    """
    if file.exists():
        raise UserError(f"{file} exists", fix="choose another name, or remove it")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8") as handle:
            handle.write(text)
    except (FileExistsError, NotADirectoryError):
        raise UserError(f"{file} cannot be written: {file.parent} is not a folder", fix=fix) from None
    except OSError as error:
        raise UserError(f"{file} cannot be written: {error.strerror}", fix=fix) from None
