"""What a cell leaves on disk: one folder named by the hash of its full configuration, with a record and the files of which
the record has the hashes. The folder appears in one go when the cell is finished."""

from __future__ import annotations

import io
import json
import os
import shutil
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError

from benchmark.config.errors import UserError
from benchmark.config.files import STAGING, cannot_write, sha256, temporary_name, write_through

SCHEMA = 2
"""Version of the record's layout; 1 had no hashes, so its cells are computed again."""
FINAL = frozenset({"ok", "incompatible", "diverged"})
"""Statuses that another run would only repeat; all others are tried again."""
ACCEPTED = frozenset({"ok", "incompatible", "skipped"})
"""Statuses of cells that do not make a run fail."""
STATUSES = ("ok", "failed", "oom", "diverged", "timeout", "killed", "blocked", "incompatible", "skipped")
RECORD, MODULE, PREDICTIONS = "record.json", "module.safetensors", "predictions.npz"
CONFIDENCE = "~confidence"
"""Ends the names of arrays of confidences."""
SEAL = "sha256"
"""Name of the record's hash of everything else in it."""
EARLIER = "it was written by an earlier version, without hashes"
AGAIN = "run the same command again: it computes the cell again"


def cell_hash(config: Mapping[str, Any], texts: Mapping[str, str] | None = None) -> str:
    """Name of a cell: hash of its whole resolved configuration, whatever the order of keys. ``texts``: some values as
    ``to_json`` gives them, where many cells share them."""
    if texts is None:
        return sha256(to_json(config).encode())[:20]
    parts = (f"{to_json(name)}: {texts.get(name) or to_json(config[name])}" for name in sorted(config))
    return sha256(f"{{{', '.join(parts)}}}".encode())[:20]


to_json = json.JSONEncoder(sort_keys=True, allow_nan=False).encode
"""A value as it is hashed."""


def predictions_file(
    predictions: Mapping[str, np.ndarray], confidences: Mapping[str, np.ndarray] | None = None
) -> dict[str, bytes]:
    """Predicted labels by test set, and their confidences in half precision, as a file of a cell."""
    halved = {f"{name}{CONFIDENCE}": values.astype(np.float16) for name, values in (confidences or {}).items()}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **predictions, **halved)  # type: ignore[arg-type]
    return {PREDICTIONS: buffer.getvalue()}


@dataclass(frozen=True)
class Store:
    """The folder of a run's cells."""

    root: Path

    def folder(self, key: str) -> Path:
        return self.root / "cells" / key[:2] / key

    def keys(self) -> set[str]:
        """Names of the cells that are there, sound or not."""
        cells = self.root / "cells"
        return {name for part in _names(cells) for name in _names(cells / part)}

    def checkpoint(self, key: str) -> Path:
        """File of the state of a training that is not finished; removed with its end."""
        return self.root / "checkpoints" / f"{key}.pt"

    def record(self, key: str) -> dict[str, Any] | None:
        """The finished record of a cell; None where there is none, or one that is torn, foreign or edited."""
        content = self._raw(key)
        sound = content.get("schema") == SCHEMA and content.get("key") == key
        if not sound or content.get(SEAL) != _seal(content) or content.get("status") not in STATUSES:
            return None
        return content

    def _raw(self, key: str) -> dict[str, Any]:
        """What a record's file holds, whatever it is; empty if it is no JSON object."""
        try:
            content = json.loads((self.folder(key) / RECORD).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        return content if isinstance(content, dict) else {}

    def status(self, key: str) -> str | None:
        record = self.record(key)
        return None if record is None else str(record["status"])

    def write(
        self, key: str, config: Mapping[str, Any], status: str, *, files: Mapping[str, bytes] | None = None, **content: Any
    ) -> None:
        """Finish a cell, unless another process has finished it before.

        Args:
            key: Its name.
            config: All that its result depends on.
            status: One of ``STATUSES``.
            files: What it leaves beside the record, by name.
            **content: What else the record says.

        Raises:
            UserError: the disk is full or the folder cannot be written.
        """
        files = files or {}
        hashes = {name: sha256(data) for name, data in files.items()}
        record = {"schema": SCHEMA, "key": key, "status": status, "config": config, "files": hashes, **content}
        record = json.loads(json.dumps(record))  # as it will be read
        text = json.dumps(record | {SEAL: _seal(record)}, indent=1, sort_keys=True) + "\n"
        staged = self.root / STAGING / temporary_name(key)
        try:
            staged.mkdir(parents=True)
            for name, data in {**files, RECORD: text.encode()}.items():
                write_through(staged / name, data)
            self._publish(staged, key)
            if status in FINAL:
                self.checkpoint(key).unlink(missing_ok=True)
        except OSError as error:
            raise cannot_write(self.folder(key), error) from error
        finally:
            shutil.rmtree(staged, ignore_errors=True)

    def _publish(self, staged: Path, key: str) -> None:
        """Give a finished folder its name. A final record that is there already stays, anything else is replaced."""
        folder = self.folder(key)
        folder.parent.mkdir(parents=True, exist_ok=True)
        for _ in range(10):  # others may be doing the same
            try:
                os.rename(staged, folder)
                return
            except OSError:
                if not folder.exists():
                    raise
            if self.status(key) in FINAL:
                return
            self.drop(key)
        os.rename(staged, folder)

    def drop(self, key: str) -> None:
        """Remove a cell, so that it is computed again."""
        aside = self.root / STAGING / temporary_name(key)
        try:
            aside.parent.mkdir(parents=True, exist_ok=True)
            os.rename(self.folder(key), aside)
        except FileNotFoundError:
            return
        except OSError as error:
            raise cannot_write(self.folder(key), error) from error
        shutil.rmtree(aside, ignore_errors=True)

    def damage(self, key: str, record: Mapping[str, Any] | None) -> str:
        """What is wrong with the files of a cell, whose ``record`` was read, or with that; "" if nothing is."""
        if record is None:
            if not (self.folder(key) / RECORD).exists():
                return "it has no record"
            earlier = self._raw(key).get("schema") in range(1, SCHEMA)
            return EARLIER if earlier else "its record is damaged or was edited"
        for name, sha in record["files"].items():
            try:
                content = (self.folder(key) / name).read_bytes()
            except OSError as error:
                return f"{name} cannot be read: {error.strerror}"
            if sha256(content) != sha:
                return f"{name} is damaged or was edited"
        return ""

    def load_module(self, key: str) -> dict[str, torch.Tensor]:
        """A stored module.

        Raises:
            UserError: the file is missing, or is not the one that was written.
        """
        content = self._content(key, MODULE)
        try:
            return safetensors.torch.load(content)
        except SafetensorError as error:
            raise UserError(f"{self.folder(key) / MODULE} cannot be read: {error}", fix=AGAIN) from error

    def predictions(self, key: str) -> dict[str, np.ndarray]:
        """Predicted labels by test set.

        Raises:
            UserError: the file is missing, or is not the one that was written.
        """
        return {name: labels for name, labels in self.arrays(key).items() if not name.endswith(CONFIDENCE)}

    def confidences(self, key: str) -> dict[str, np.ndarray]:
        """Largest probability of each image by test set.

        Raises:
            UserError: the file is missing, or is not the one that was written.
        """
        return {
            name.removesuffix(CONFIDENCE): values for name, values in self.arrays(key).items() if name.endswith(CONFIDENCE)
        }

    def arrays(self, key: str, record: Mapping[str, Any] | None = None) -> dict[str, np.ndarray]:
        """Predicted labels by test set, and by the same name with ``CONFIDENCE`` the largest probability of each image.
        ``record``: that of the cell, if it was read already.

        Raises:
            UserError: the file is missing, or is not the one that was written.
        """
        content = self._content(key, PREDICTIONS, record)
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as stored:
                return {name: stored[name] for name in stored.files}
        except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            what = f"{self.folder(key) / PREDICTIONS} cannot be read: {' '.join(str(error).split())}"
            raise UserError(what, fix=AGAIN) from error

    def _content(self, key: str, name: str, record: Mapping[str, Any] | None = None) -> bytes:
        """A file of a cell, as it was written."""
        file, record = self.folder(key) / name, record or self.record(key)
        try:
            content = file.read_bytes()
        except OSError as error:
            raise UserError(f"{file} cannot be read: {error.strerror}", fix=AGAIN) from error
        if record is None or sha256(content) != record["files"].get(name):
            raise UserError(f"{file} is damaged or was edited", fix=AGAIN)
        return content


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _seal(record: Mapping[str, Any]) -> str:
    """Hash of a record without its seal."""
    return sha256(json.dumps({name: value for name, value in record.items() if name != SEAL}, sort_keys=True).encode())
