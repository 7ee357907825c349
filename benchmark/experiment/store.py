"""What a cell leaves on disk: one folder named by the hash of its full configuration, finished by an atomic record."""

from __future__ import annotations

import hashlib
import io
import json
import os
import uuid
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from benchmark.config.errors import UserError
from benchmark.method.checkpoints import HEADER

SCHEMA = 1
"""Version of the record's layout."""
FINAL = frozenset({"ok", "incompatible", "diverged"})
"""Statuses that another run would only repeat; all others are tried again."""
CONFIDENCE = "~confidence"
"""Ends the names of arrays of confidences."""
ACCEPTED = frozenset({"ok", "incompatible", "skipped"})
"""Statuses of cells that do not make a run fail."""
FORMER_STATUSES = {"unfit": "incompatible"}
"""What records of earlier versions call a status."""
STATUSES = ("ok", "failed", "oom", "diverged", "timeout", "killed", "blocked", "incompatible", "skipped")


def cell_hash(config: Mapping[str, Any]) -> str:
    """Name of a cell: hash of its whole resolved configuration, whatever the order of keys."""
    return hashlib.sha256(json.dumps(config, sort_keys=True, allow_nan=False).encode()).hexdigest()[:20]


def write_atomically(file: Path, content: bytes) -> None:
    """Write a file so that a reader, or a crash, sees either all of it or none.

    Raises:
        UserError: the disk is full or the folder cannot be written.
    """
    temporary = file.with_name(f".{file.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as handle:
            handle.write(content)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(temporary, file)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise UserError(
            f"cannot write {file}: {error.strerror}", fix="free some disk space or choose another --out"
        ) from error


@dataclass(frozen=True)
class Store:
    """The folder of a run's cells."""

    root: Path

    def folder(self, key: str) -> Path:
        return self.root / "cells" / key[:2] / key

    def record(self, key: str) -> dict[str, Any] | None:
        """The finished record of a cell, or None where there is none, or a torn or foreign one."""
        try:
            content = json.loads((self.folder(key) / "record.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        if not isinstance(content, dict) or content.get("schema") != SCHEMA or content.get("key") != key:
            return None
        status = content.get("status")
        return content | {"status": FORMER_STATUSES.get(status, status)}  # type: ignore[arg-type]

    def status(self, key: str) -> str | None:
        record = self.record(key)
        return None if record is None else str(record["status"])

    def write(self, key: str, config: Mapping[str, Any], status: str, **content: Any) -> None:
        """Write a cell's record; everything else that the cell leaves must be on disk before."""
        record = {"schema": SCHEMA, "key": key, "status": status, "config": config, **content}
        text = json.dumps(record, indent=1, sort_keys=True) + "\n"
        write_atomically(self.folder(key) / "record.json", text.encode())

    def save_module(self, key: str, tensors: Mapping[str, torch.Tensor], about: Mapping[str, Any]) -> str:
        """Store a module, fp32 only, with the description ``about`` in the file's header; returns the file's SHA-256."""
        folder = self.folder(key)
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / f".module.{uuid.uuid4().hex[:8]}"
        try:
            described = {HEADER: json.dumps(dict(about), sort_keys=True)}
            save_file({name: value.contiguous() for name, value in tensors.items()}, temporary, described)
            content = temporary.read_bytes()
        except OSError as error:
            raise UserError(f"cannot write {folder}: {error.strerror}", fix="free some disk space") from error
        finally:
            temporary.unlink(missing_ok=True)
        write_atomically(folder / "module.safetensors", content)
        return hashlib.sha256(content).hexdigest()

    def load_module(self, key: str, sha: str) -> dict[str, torch.Tensor]:
        """A stored module.

        Raises:
            UserError: the file is missing, or is not the one that was written.
        """
        file = self.folder(key) / "module.safetensors"
        fix = f"remove {file.parent} and run again"
        try:
            if hashlib.sha256(file.read_bytes()).hexdigest() != sha:
                raise UserError(f"{file} is not the module that was trained", fix=fix)
            return load_file(file)
        except (OSError, SafetensorError) as error:
            raise UserError(f"{file} cannot be read: {error}", fix=fix) from error

    def save_predictions(
        self, key: str, predictions: Mapping[str, np.ndarray], confidences: Mapping[str, np.ndarray] | None = None
    ) -> None:
        """Store predicted labels by test set, and their confidences in half precision."""
        halved = {f"{name}{CONFIDENCE}": values.astype(np.float16) for name, values in (confidences or {}).items()}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **predictions, **halved)  # type: ignore[arg-type]
        write_atomically(self.folder(key) / "predictions.npz", buffer.getvalue())

    def predictions(self, key: str) -> dict[str, np.ndarray]:
        """Predicted labels by test set.

        Raises:
            UserError: the file is missing or broken.
        """
        return {name: labels for name, labels in self._arrays(key).items() if not name.endswith(CONFIDENCE)}

    def confidences(self, key: str) -> dict[str, np.ndarray]:
        """Largest probability of each image by test set.

        Raises:
            UserError: the file is missing or broken.
        """
        return {
            name.removesuffix(CONFIDENCE): values for name, values in self._arrays(key).items() if name.endswith(CONFIDENCE)
        }

    def _arrays(self, key: str) -> dict[str, np.ndarray]:
        """All that is stored of an evaluation's images.

        Raises:
            UserError: the file is missing or broken.
        """
        file = self.folder(key) / "predictions.npz"
        try:
            with np.load(file, allow_pickle=False) as stored:
                return {name: stored[name] for name in stored.files}
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            fix = f"remove {file.parent} and run again"
            raise UserError(f"{file} cannot be read: {' '.join(str(error).split())}", fix=fix) from error
