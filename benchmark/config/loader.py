"""Reads the YAML of a run. Every mistake is reported in one line with the file, the key's path and the fix."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from benchmark.config import paths, schema
from benchmark.config.errors import UserError, did_you_mean
from benchmark.config.schema import BackboneSpec, RunSpec
from benchmark.config.validation import check

MERGE, WORD = "tag:yaml.org,2002:merge", "tag:yaml.org,2002:str"
NOT_WORDS = ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:null")
LARGEST = 100_000
"""Nodes of a YAML, with aliases written out."""


class _Loader(yaml.SafeLoader):
    """Safe loader that refuses a key given twice (YAML would silently keep the last), and takes numbers as they are written
    where they are names."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            if key_node.tag == MERGE:  # "<<: *other" brings keys that may be given again
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                raise _problem("a key must be a plain word", key_node)
            if key_node.tag in NOT_WORDS:
                raise _problem(f"put this key in quotes: {key_node.value!r}, or YAML reads a truth value", key_node)
            if key_node.value in seen:
                raise _problem(f"key {key_node.value!r} is given twice", key_node)
            key_node.tag = WORD  # a number is a name here, as it is written
            seen.add(key_node.value)
        return super().construct_mapping(node, deep)

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> Any:
        value = super().construct_scalar(node)
        if isinstance(value, str) and re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", value):
            raise _problem("a control character in a text", node)
        return value

    def construct_yaml_int(self, node: yaml.ScalarNode) -> Any:
        number = schema.Written(super().construct_yaml_int(node))
        number.text = node.value
        return number


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


def _problem(text: str, node: yaml.Node) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, text, node.start_mark)


def _parse(text: str) -> Any:
    """The content of a YAML; one whose aliases are nested until they fill the memory is refused before it is built."""
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if _size(node, {}) > LARGEST:
            raise _problem("too large with its aliases written out", node)
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _size(node: yaml.Node, known: dict[int, int]) -> int:
    """Nodes below and with a node; ``known`` has those of the nodes that were counted before."""
    if id(node) not in known:
        known[id(node)] = LARGEST + 1  # a node inside itself has no end
        parts = node.value if isinstance(node, yaml.SequenceNode) else ()
        if isinstance(node, yaml.MappingNode):
            parts = [part for pair in node.value for part in pair]
        known[id(node)] = 1 + sum(_size(part, known) for part in parts)
    return known[id(node)]


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
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError("no such file", where=str(path), fix="check --upgrade-pairs") from None
    except UnicodeDecodeError:
        raise UserError("is not UTF-8", where=str(path), fix="save it as UTF-8 in an editor") from None
    except OSError as error:
        raise UserError(f"cannot be read ({error})", where=str(path), fix="check the path and its permissions") from None
    try:
        content = _parse(text)
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
