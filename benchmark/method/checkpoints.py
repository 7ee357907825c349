"""Modules trained elsewhere: checkpoints of the methods' official code, and modules that this suite has stored.

A file is never trusted. Of a pickle only tensors and plain containers are read; the optimiser and scheduler objects that
training code leaves next to them become empty shells; a file that would call anything else is refused.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open

from benchmark.backbones.checkpoint_file import Refused, described, read_file
from benchmark.config.errors import UserError
from benchmark.config.validation import check
from benchmark.method.base import BARE, Method, Official
from benchmark.method.peft_files import CONFIG, OLD_WEIGHTS, WEIGHTS
from benchmark.method.registry import Registry
from benchmark.method.shapes import shape_mismatch
from benchmark.method.terms import Incompatible

HEADER = "clip_compat"
"""Key in the header of ``module.safetensors`` under which this suite describes the module, as JSON."""


@dataclass(frozen=True, eq=False)
class StoredModule:
    """A module to attach to a backbone."""

    method: str
    settings: dict[str, Any]
    """Hyper-parameters that the file determines; the method's own defaults are used for the others."""
    tensors: dict[str, torch.Tensor]
    """What was learnt, in fp32 on the CPU, under this suite's names."""
    note: str
    """What was left out or assumed."""
    classes: tuple[str, ...] = ()
    """Those that it was trained on, where the file tells."""
    described: Mapping[str, Any] = field(default_factory=dict)
    """All that this suite wrote about its training; empty for other files."""


def module_file(tensors: Mapping[str, torch.Tensor], about: Mapping[str, Any]) -> bytes:
    """A module as the content of a ``module.safetensors``: its tensors, and their description ``about`` in the header."""
    described = {HEADER: json.dumps(dict(about), sort_keys=True)}
    return safetensors.torch.save({name: value.contiguous() for name, value in tensors.items()}, described)


def read_module(file: Path, methods: Registry[Method], method: str | None = None) -> StoredModule:
    """Read a module from a checkpoint of a method's official code, a ``module.safetensors`` of this suite, or a folder of
    Hugging Face's PEFT.

    Args:
        file: The checkpoint, or the folder.
        methods: Every one of them is asked whether the file is its own.
        method: Ask this one only, where several would take the file.

    Raises:
        UserError: the file is missing, broken or refused, or belongs to no method or to several.
    """
    content = _folder(file) if file.is_dir() else _content(file)
    description = None if file.is_dir() else _description(file)
    if description is not None:
        owner, official = _stored(file, description, content, methods)
        if method not in (None, owner):
            raise UserError(f"is a module of {owner}, not of {method}", where=str(file))
    else:
        owner, official = _ask(file, content, methods, method)
    check(methods[owner].cls.Config, official.settings, where=str(file))
    tensors = {name: _dense(value, name, file) for name, value in official.tensors.items()}
    for name, value in tensors.items():
        if not bool(value.isfinite().all()):
            fix = "its training diverged: give another checkpoint"
            raise UserError(f"{name} has values that are not finite", where=str(file), fix=fix)
    return StoredModule(owner, official.settings, tensors, official.note, official.classes, description or {})


def _dense(value: torch.Tensor, name: str, file: Path) -> torch.Tensor:
    """A tensor in fp32 on the CPU, which owns its memory."""
    if value.is_quantized or value.layout != torch.strided:
        kind = "quantised" if value.is_quantized else "sparse"
        raise UserError(f"{name} is {kind}", where=str(file), fix="save it as a dense tensor of floating-point numbers")
    return value.detach().cpu().float().contiguous().clone()


def _ask(file: Path, content: Mapping[str, Any], methods: Registry[Method], only: str | None) -> tuple[str, Official]:
    """The method that knows the file as its official code's, and what it makes of it."""
    claims: dict[str, Official] = {}
    reasons: list[str] = []
    for name in [only] if only else sorted(methods.plugins):
        cls = methods[name].cls
        if "from_official" not in vars(cls) and not only:
            continue  # it would only repeat what the class that it derives from says
        try:
            official = cls.from_official(content)
        except Incompatible as error:
            reasons.append(f"{name}: {error}")
            continue
        except Exception as error:  # a plugin may raise anything at a file that only looks like its own
            reasons.append(f"{name}: {type(error).__name__}: {error}")
            continue
        if official is not None:
            claims[name] = official
    if len(claims) == 1:
        return claims.popitem()
    if claims:
        raise UserError(f"may be a module of {' or '.join(claims)}", where=str(file), fix="say of which method")
    if reasons:
        raise UserError(f"cannot be used ({'; '.join(reasons)})", where=str(file), fix="give another checkpoint")
    known = sorted(name for name, plugin in methods.plugins.items() if "from_official" in vars(plugin.cls))
    fix = (
        f"give a checkpoint of the official code of {', '.join(known) or 'a method'}, or a module.safetensors of this suite"
    )
    raise UserError(f"is not a checkpoint of any method (it holds {described(content)})", where=str(file), fix=fix)


def _description(file: Path) -> dict[str, Any] | None:
    """What this suite wrote about a module: in the header of the file, or in the ``.json`` that earlier versions put next to
    it; None if it is another's.

    Raises:
        UserError: there is a description, and it is broken.
    """
    if file.suffix != ".safetensors":
        return None
    where, text = file, _header(file)
    if text is None:
        where = file.with_suffix(".json")
        if not where.is_file():
            return None
        text = where.read_text(encoding="utf-8", errors="replace")
    try:
        description = json.loads(text)
        str(description["method"]), dict(description["settings"]), str(description["backbone"]["name"])
        {str(tensor): tuple(shape) for tensor, shape in description["tensors"].items()}
        tuple(map(str, description.get("classes", ())))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        problem = f"does not describe a module ({type(error).__name__}: {error})"
        raise UserError(problem, where=str(where), fix="copy the module again") from None
    return dict(description)


def _header(file: Path) -> str | None:
    try:
        with safe_open(file, framework="pt") as content:  # type: ignore[no-untyped-call]
            return (content.metadata() or {}).get(HEADER)
    except (OSError, SafetensorError):
        return None


def _stored(
    file: Path, described: Mapping[str, Any], tensors: dict[str, Any], methods: Registry[Method]
) -> tuple[str, Official]:
    """A module that this suite stored, and the method it names."""
    name, settings = str(described["method"]), dict(described["settings"])
    shapes = {str(tensor): tuple(shape) for tensor, shape in described["tensors"].items()}
    try:
        methods[name]
    except UserError as error:
        raise UserError(error.message, where=str(file), fix=error.fix) from None
    wrong = shape_mismatch(shapes, {tensor: tuple(value.shape) for tensor, value in tensors.items()})
    if wrong:
        raise UserError(f"is not what its description says: {wrong}", where=str(file), fix="copy the module again")
    classes = tuple(map(str, described.get("classes", ())))
    return name, Official(settings, tensors, f"trained by this suite on {described['backbone']['name']}", classes)


# --- reading without trusting --------------------------------------------------------------------------------------


def _content(file: Path) -> dict[str, Any]:
    """What a file holds: a checkpoint's dictionary, or a single tensor as ``BARE``."""
    try:
        content = read_file(file)
    except Refused as error:
        raise UserError(f"refused, because it would call {str(error)!r}", where=str(file), fix=_resave(file)) from None
    if isinstance(content, torch.Tensor):
        return {BARE: content}
    if not isinstance(content, Mapping):
        problem = f"holds a {type(content).__name__}, not a dictionary"
        raise UserError(problem, where=str(file), fix="give a checkpoint with a state_dict")
    return dict(content)


def _folder(folder: Path) -> dict[str, Any]:
    """What a folder of PEFT holds: its configuration as ``adapter_config``, and its tensors as ``state_dict``.

    Raises:
        UserError: it is not such a folder, or a file in it is broken.
    """
    config = folder / CONFIG
    if not config.is_file():
        modules = sorted(folder.glob("module.safetensors"))
        fix = f"name {modules[0]}" if modules else f"name a checkpoint, or a folder with {CONFIG}"
        raise UserError(f"is a folder without {CONFIG}", where=str(folder), fix=fix)
    weights = next((folder / name for name in (WEIGHTS, OLD_WEIGHTS) if (folder / name).is_file()), None)
    if weights is None:
        raise UserError(f"is a folder without {WEIGHTS}", where=str(folder), fix="copy the whole folder of the adapter")
    try:
        settings = json.loads(config.read_text(encoding="utf-8"))
        dict(settings)
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"is not JSON with settings: {error}", where=str(config), fix="copy the folder again") from None
    return {"adapter_config": settings, "state_dict": _content(weights)}


def _resave(file: Path) -> str:
    """How whoever trusts a file can make one that needs no trust."""
    new = file.with_name(f"{file.name}.tensors.pt")
    old, kept = json.dumps(str(file)), json.dumps(["state_dict", "weights", "metadata"])
    code = (
        f'import torch; c = torch.load({old}, map_location="cpu", weights_only=False); '
        f"torch.save({{k: c[k] for k in {kept} if k in c}}, {json.dumps(str(new))})"
    )
    return f"if you trust its author, save its tensors alone with python -c {shlex.quote(code)} and give {new}"
