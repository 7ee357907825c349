"""Reads the YAML of a run. Every mistake is reported in one line with the file, the key's path and the fix."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from benchmark.config import paths
from benchmark.config.errors import UserError, did_you_mean
from benchmark.config.schema import BackboneSpec, RunSpec
from benchmark.config.validation import check


class _UniqueKeys(yaml.SafeLoader):
    """Safe loader that refuses a key given twice (YAML would silently keep the last)."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str | int | float | bool | None):
                raise yaml.constructor.ConstructorError(None, None, "a key must be a plain word", key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is given twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


DEFAULT = "pairs.yaml"


def find(path: Path | None) -> Path:
    """The YAML to read: ``path``, ``pairs.yaml`` in the current folder, or one that comes with the suite."""
    if path is None:
        own = Path(DEFAULT)
        return own if own.exists() else paths.bundled(DEFAULT)
    if not path.exists() and not path.is_absolute():
        shipped = paths.bundled(path.parts[0]).joinpath(*path.parts[1:]) if path.parts else path
        return shipped if shipped.is_file() else path
    return path


def load(path: Path) -> RunSpec:
    """Read and check a YAML file.

    Raises:
        UserError: the file is missing, is not YAML, or breaks the schema.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError("no such file", where=str(path), fix="check --upgrade-pairs") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot be read ({error})", where=str(path), fix="check the path and its permissions") from None
    try:
        content = yaml.load(text, Loader=_UniqueKeys)  # noqa: S506 - a SafeLoader subclass
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise UserError(f"not valid YAML: {getattr(error, 'problem', error)}", where=where, fix="fix this line") from None
    if not isinstance(content, dict):
        raise UserError("the top level must be a mapping", where=str(path), fix="start with 'backbones:' and 'upgrades:'")
    spec = check(RunSpec, content, where=str(path))
    _check_names(spec, path)
    return _resolve(spec, path.parent)


def _check_names(spec: RunSpec, path: Path) -> None:
    seen: set[tuple[str, str]] = set()
    for index, upgrade in enumerate(spec.upgrades):
        for name in (upgrade.old, *upgrade.new):
            if name not in spec.backbones:
                where = f"{path}: upgrades[{index}]"
                raise UserError(f"backbone {name!r} is not defined", where=where, fix=did_you_mean(name, spec.backbones))
        for new in upgrade.new:
            if (upgrade.old, new) in seen:
                where = f"{path}: upgrades[{index}].new"
                raise UserError(f"the pair {upgrade.old} -> {new} is given twice", where=where, fix="remove one of them")
            seen.add((upgrade.old, new))


def _resolve(spec: RunSpec, folder: Path) -> RunSpec:
    """Make the paths in the file relative to the file, not to the current folder."""

    def absolute(backbone: BackboneSpec) -> BackboneSpec:
        if backbone.model.startswith("bundled:"):
            return backbone
        if backbone.model.startswith("local-dir:"):
            path = _relative_to(folder, backbone.model.removeprefix("local-dir:"))
            return backbone.model_copy(update={"model": f"local-dir:{path}"})
        file = _relative_to(folder, backbone.pretrained or "")
        return backbone.model_copy(update={"pretrained": file}) if Path(file).is_file() else backbone

    backbones = {name: absolute(backbone) for name, backbone in spec.backbones.items()}
    root = None if spec.data_root is None else _relative_to(folder, spec.data_root)
    folders = {
        name: data.model_copy(update={"path": _relative_to(folder, data.path)}) for name, data in spec.folders.items()
    }
    plugins = tuple(_relative_to(folder, plugin) for plugin in spec.plugins)
    changes = {"backbones": backbones, "data_root": root, "folders": folders, "plugins": plugins}
    return spec.model_copy(update=changes)


def _relative_to(folder: Path, path: str) -> str:
    try:
        return str((folder / Path(path).expanduser()).resolve())
    except (OSError, RuntimeError, ValueError) as error:  # no such user, a loop of links, a zero byte
        raise UserError(f"not a path: {error}", where=repr(path), fix="write another") from None
