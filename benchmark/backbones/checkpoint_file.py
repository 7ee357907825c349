"""Checkpoints from anywhere: read without executing anything in them, and unwrapped down to named tensors."""

from __future__ import annotations

import os
import pickle
import re
import stat
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from benchmark.config.errors import UserError

AGAIN = "download or copy it again"
LFS = b"version https://git-lfs"
RATIO = 1.5
"""Largest ratio of an archive's content to its file: torch does not compress, so that a higher one is an attack."""


class Refused(Exception):
    """A file names something that would be called; the name is the message."""


def read_file(file: Path) -> Any:
    """What a ``.safetensors`` file or a file of ``torch.save`` holds. Objects that are not tensors, numbers, texts or
    containers are refused, or left out if they belong to training.

    Raises:
        UserError: the file cannot be read, or is not a checkpoint.
        Refused: it names something else that would be called.
    """
    where = str(file)
    _check_regular(file)
    start = _start(file)
    if start.startswith(LFS):
        raise UserError("is a Git LFS pointer, not the file", where=where, fix="run 'git lfs pull' in its repository")
    try:
        if start[8:9] == b"{" or file.suffix == ".safetensors":  # whatever its name says
            return load_file(file)
        _check_size(file)
        return _unpickled(file)
    except (UserError, MemoryError):
        raise
    except Exception as error:  # damaged files make torch and safetensors raise many kinds
        refused = re.search(r"GLOBAL (\S+)", str(error)) if isinstance(error, pickle.UnpicklingError) else None
        if refused:
            raise Refused(refused[1]) from None
        raise UserError("is damaged or not a checkpoint", where=where, fix=AGAIN) from None


def _check_regular(file: Path) -> None:
    where = str(file)
    try:
        mode = os.stat(file).st_mode
    except FileNotFoundError:
        raise UserError("no such file", where=where, fix="check the path") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"cannot be read: {reason}", where=where, fix="check the path") from None
    if stat.S_ISDIR(mode):
        raise UserError("is a folder", where=where, fix="name the checkpoint file in it")
    if not stat.S_ISREG(mode):  # a pipe or a device may never end
        raise UserError("is not a regular file", where=where, fix="name a file")


def _start(file: Path) -> bytes:
    try:
        with file.open("rb") as handle:
            return handle.read(64)
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", where=str(file), fix="check its permissions") from None


def _check_size(file: Path) -> None:
    """Refuse an archive that would fill the memory."""
    if not zipfile.is_zipfile(file):
        return
    with zipfile.ZipFile(file) as archive:
        content = sum(part.file_size for part in archive.infolist())
    if content > RATIO * file.stat().st_size + 2**20:
        what = f"holds {content / 1e9:.1f} GB in {file.stat().st_size / 1e6:.1f} MB: torch does not write such files"
        raise UserError(what, where=str(file), fix="do not trust it")


def _unpickled(file: Path) -> Any:
    allow: Callable[[Any], AbstractContextManager[Any]] | None = getattr(torch.serialization, "safe_globals", None)
    with allow(_SHELLS) if allow else nullcontext(), warnings.catch_warnings():  # torch 2.4 cannot allow
        warnings.simplefilter("ignore")
        return torch.load(file, map_location="cpu", weights_only=True)


def named_tensors(content: object) -> dict[str, torch.Tensor] | None:
    """The state dict in what a file holds: at the top, or inside ``state_dict``, ``model`` and the like, with the prefixes
    of wrappers removed from its names; None if there is none."""
    for part in _candidates(content):
        tensors = {str(name): value for name, value in part.items() if isinstance(value, torch.Tensor)}
        if len(tensors) > 1 and len(tensors) >= len(part) / 2:
            return {re.sub(r"^((module|_orig_mod|model)\.)+", "", name): value for name, value in tensors.items()}
    return None


WRAPPERS = ("state_dict", "model_state_dict", "model", "module", "ema", "weights", "prompt_learner")


def _candidates(content: object, depth: int = 3) -> Iterator[Mapping[Any, Any]]:
    if isinstance(content, Mapping):
        yield content
        for name in WRAPPERS if depth else ():
            yield from _candidates(content.get(name), depth - 1)


def described(content: Mapping[Any, Any]) -> str:
    """The names of what a file holds, for a message: those of its tensors, also inside a wrapper."""
    tensors = named_tensors(content)
    names = list(tensors) if tensors else sorted(map(str, content))
    shown = ", ".join(repr(name)[:60] if name else "a tensor alone" for name in names[:5]) or "nothing"
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown


class _Shell:
    """Takes the place of an optimiser, a scheduler or a NumPy number in a pickle, and keeps nothing of it."""

    def __init__(self, *_: object) -> None: ...

    def __setstate__(self, state: object) -> None: ...


def _shell(path: str) -> Any:
    """A shell that torch takes for ``path``; nothing of the real object is imported or called."""
    module, name = path.rsplit(".", 1)
    return type(name, (_Shell,), {"__module__": module, "__qualname__": name})


def _dictionary(path: str) -> Any:
    """The same for a dictionary's class; torch fills in plain dictionaries only."""
    module, name = path.rsplit(".", 1)

    def empty(*_: object) -> dict[Any, Any]:
        return {}

    empty.__module__, empty.__name__, empty.__qualname__ = module, name, name
    return empty


_SHELLS = [
    _shell(path)
    for path in (
        "torch.optim.sgd.SGD",
        "torch.optim.adam.Adam",
        "torch.optim.adamw.AdamW",
        "torch.optim.rmsprop.RMSprop",
        "torch.optim.lr_scheduler.CosineAnnealingLR",
        "torch.optim.lr_scheduler.MultiStepLR",
        "torch.optim.lr_scheduler.StepLR",
        "argparse.Namespace",
        "numpy.dtype",
        "numpy.core.multiarray.scalar",
        "numpy._core.multiarray.scalar",
    )
] + [_dictionary(path) for path in ("builtins.dict", "collections.defaultdict")]
"""What checkpoints name next to tensors: Dassl's warm-up scheduler's state holds the scheduler that follows, and that one
its optimiser; others keep their options or a best score."""
