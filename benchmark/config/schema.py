"""The YAML of a run: which backbones, which upgrades, which data sets. Strict: whatever is unknown is an error.

Every mistake is reported in one line with the file, the key's path and the fix.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from benchmark.config.errors import UserError

M = TypeVar("M", bound=BaseModel)


class Strict(BaseModel):
    """Base of all configuration models: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def _listed(value: object) -> object:
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


def _numbered(value: object) -> object:
    return (value,) if isinstance(value, int) else tuple(value) if isinstance(value, list) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_listed), Field(min_length=1)]


class BackboneSpec(Strict):
    """A CLIP as open_clip names it.

    ``model`` is an architecture ("ViT-B-16-quickgelu"), ``hf-hub:org/repo`` or ``local-dir:/path``; ``pretrained`` is a
    tag or a checkpoint file and goes with an architecture only. Random weights must be asked for with
    ``pretrained: random``, never by leaving a key out.
    """

    model: str
    pretrained: str | None = None
    seed: int = 0
    """Seed of the random weights when ``pretrained: random``; unused otherwise."""
    title: str | None = None
    note: str | None = None
    """A sentence for the report, such as "toy weights: not evidence about real CLIPs"."""

    @model_validator(mode="after")
    def _has_weights(self) -> BackboneSpec:
        by_folder = self.model.startswith(("local-dir:", "hf-hub:"))
        if by_folder and self.pretrained is not None:
            raise ValueError(f"'pretrained' has no meaning beside model {self.model!r}, which brings its own weights")
        if not by_folder and self.pretrained is None:
            raise ValueError("'pretrained' is missing: give a tag, a checkpoint file, or 'random' for random weights")
        return self


class FolderSpec(Strict):
    """A folder of images that is a data set: ``path`` holds a folder for each class, or folders train, val and test with
    such folders, or is a CSV with the columns path, label and perhaps split."""

    path: str
    """Relative to the YAML."""
    title: str | None = None
    template: str = "a photo of a {}."
    context_words: str = "a photo of a"
    class_names: dict[str, str] = Field(default_factory=dict)
    """What prompts call a class, by folder name or label; others are called as they are."""
    base: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    """The base classes of base-to-new; without, the first half in sorted order."""
    shots: Annotated[int, Field(ge=1)] = 16
    crop: Annotated[tuple[float, float], BeforeValidator(_listed)] | None = (0.08, 1.0)
    """Share of the area that a random crop in training keeps; null never crops."""
    flip: bool = True
    """Whether a mirror image still belongs to its class."""
    licence: str = ""

    @field_validator("template")
    @classmethod
    def _has_a_place(cls, template: str) -> str:
        try:
            places = template.format("\0").count("\0")
        except (LookupError, ValueError):
            places = 0
        if places != 1:
            raise ValueError("the template needs one {} where the class name goes, and no other brace")
        return template

    @field_validator("class_names")
    @classmethod
    def _no_empty_name(cls, names: dict[str, str]) -> dict[str, str]:
        for label, name in names.items():
            if not name.strip():
                raise ValueError(f"class {label!r} is called nothing")
        return names

    @field_validator("base")
    @classmethod
    def _no_class_twice(cls, base: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(base)) < len(base):
            raise ValueError("a base class is given twice")
        return base

    @field_validator("crop")
    @classmethod
    def _is_a_range(cls, crop: tuple[float, float] | None) -> tuple[float, float] | None:
        if crop is not None and not 0 < crop[0] <= crop[1] <= 1:
            raise ValueError("crop must be two shares between 0 and 1, the smaller first")
        return crop


class UpgradeSpec(Strict):
    """One old backbone and the newer ones that replace it; a list expands to one upgrade each."""

    old: str
    new: Names


PROTOCOLS = ("base-to-new", "few-shot", "domain", "cross-dataset")
Numbers = Annotated[tuple[Annotated[int, Field(ge=1)], ...], BeforeValidator(_numbered), Field(min_length=1)]


class ProtocolSpec(Strict):
    """How modules are trained and tested; in YAML a bare name will do.

    ``base-to-new``: half of the classes to train on, both halves to test on. ``few-shot``: all classes. ``domain``: all
    classes, tested on the data set's shifted test sets too. ``cross-dataset``: all classes, tested on all other data sets.
    """

    name: Literal["base-to-new", "few-shot", "domain", "cross-dataset"]
    shots: Numbers | None = None
    """Training images per class; None takes the run's. Several, one run of the protocol for each, for ``few-shot`` only."""
    train_on: Names | None = None
    """Data sets to train on; None takes all that the protocol suits (for ``domain`` and ``cross-dataset`` those with
    shifted test sets)."""

    @model_validator(mode="after")
    def _shots_can_be_told_apart(self) -> ProtocolSpec:
        if self.name != "few-shot" and self.shots is not None and len(self.shots) > 1:
            raise ValueError(f"{self.name} takes one number of shots; only few-shot takes several")
        return self


def _protocols(value: object) -> object:
    listed = [value] if isinstance(value, str | dict) else value
    if not isinstance(listed, list | tuple):
        return value
    return tuple({"name": each} if isinstance(each, str) else each for each in listed)


TAKEN = ("all", "base", "new", "H")
"""What no data set can be called: these name parts of one."""


class RunSpec(Strict):
    """A whole ``pairs.yaml``."""

    backbones: Annotated[dict[str, BackboneSpec], Field(min_length=1)]
    upgrades: Annotated[tuple[UpgradeSpec, ...], BeforeValidator(_listed), Field(min_length=1)]
    datasets: Names = ("all",)
    folders: dict[str, FolderSpec] = Field(default_factory=dict)
    """Data sets of one's own by name; ``datasets`` may name them, and "all" includes them."""
    methods: Names = ("all",)
    protocols: Annotated[tuple[ProtocolSpec, ...], BeforeValidator(_protocols), Field(min_length=1)] = (
        ProtocolSpec(name="base-to-new"),
        ProtocolSpec(name="domain"),
    )
    preset: Literal["paper", "small"] = "paper"
    """Hyper-parameters: the papers' (real CLIPs), or those chosen for towers of icon-world size."""
    shots: Annotated[int, Field(ge=1)] = 16
    seeds: Annotated[tuple[int, ...], BeforeValidator(_listed), Field(min_length=1)] = (1, 2, 3)
    data_root: str | None = None
    """Folder that holds the data sets which are read from files; relative to the YAML."""
    warning: str | None = None
    """Printed with every table that shows the run's numbers."""

    @field_validator("folders")
    @classmethod
    def _plain_names(cls, folders: dict[str, FolderSpec]) -> dict[str, FolderSpec]:
        for name in folders:
            if not re.fullmatch(r"[\w.-]+", name) or name in TAKEN:
                fix = f"use letters, digits, '-', '_', '.', and none of {', '.join(TAKEN)}"
                raise ValueError(f"a data set cannot be called {name!r}: {fix}")
        return folders

    @field_validator("protocols")
    @classmethod
    def _no_protocol_twice(cls, protocols: tuple[ProtocolSpec, ...]) -> tuple[ProtocolSpec, ...]:
        names = [each.name for each in protocols]
        if len(set(names)) < len(names):
            raise ValueError("a protocol is given twice; list its shots instead")
        return protocols

    @field_validator("seeds")
    @classmethod
    def _no_seed_twice(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("a seed is given twice")
        return seeds

    def pairs(self) -> list[tuple[str, str]]:
        """The upgrades as (old, new) names, in the order of the file."""
        return [(upgrade.old, new) for upgrade in self.upgrades for new in upgrade.new]


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
        raise UserError(f"not valid YAML: {getattr(error, 'problem', error)}", where=where, fix="mend this line") from None
    if not isinstance(content, dict):
        raise UserError("the top level must be a mapping", where=str(path), fix="start with 'backbones:' and 'upgrades:'")
    spec = check(RunSpec, content, where=str(path))
    _check_names(spec, path)
    return _resolve(spec, path.parent)


def check(model: type[M], content: Mapping[str, Any], *, where: str) -> M:
    """Validate ``content``; the first problem becomes one line with its key path and a fix."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        problems = error.errors()
        # A misspelt key also leaves the right one missing: tell of the former.
        problem = next((each for each in problems if each["type"] == "extra_forbidden"), problems[0])
        raise UserError(_say(problem, model), where=f"{where}: {_path(problem['loc'])}", fix=_fix(problem, model)) from None


def _path(location: Sequence[int | str]) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return text.removeprefix(".") or "(top level)"


def _say(problem: Any, model: type[BaseModel]) -> str:
    if problem["type"] == "extra_forbidden":
        return f"unknown key {problem['loc'][-1]!r}"
    if problem["type"] == "missing":
        return f"key {problem['loc'][-1]!r} is missing"
    if problem["type"] == "too_short":
        return "the list is empty"
    return str(problem["msg"]).removeprefix("Value error, ")


def _fix(problem: Any, model: type[BaseModel]) -> str:
    if problem["type"] == "extra_forbidden":
        known = sorted({name for each in _models(model) for name in each.model_fields})
        close = difflib.get_close_matches(str(problem["loc"][-1]), known, n=1)
        return f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(known)}"
    if problem["type"] == "missing":
        return f"add {problem['loc'][-1]!r}"
    if problem["type"] == "too_short":
        return "name at least one"
    return f"you gave {problem['input']!r}"[:120]


def _models(model: type[BaseModel]) -> tuple[type[BaseModel], ...]:
    return (RunSpec, UpgradeSpec, BackboneSpec, ProtocolSpec, FolderSpec) if model is RunSpec else (model,)


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


def did_you_mean(name: str, known: Mapping[str, object] | Sequence[str]) -> str:
    """A fix for an unknown name: the closest known one, or all of them."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(sorted(known)) or 'none'}"


def _resolve(spec: RunSpec, folder: Path) -> RunSpec:
    """Make the paths in the file relative to the file, not to the current folder."""

    def absolute(backbone: BackboneSpec) -> BackboneSpec:
        if backbone.model.startswith("local-dir:"):
            path = _beside(folder, backbone.model.removeprefix("local-dir:"))
            return backbone.model_copy(update={"model": f"local-dir:{path}"})
        file = _beside(folder, backbone.pretrained or "")
        return backbone.model_copy(update={"pretrained": file}) if Path(file).is_file() else backbone

    found = {name: absolute(backbone) for name, backbone in spec.backbones.items()}
    root = None if spec.data_root is None else _beside(folder, spec.data_root)
    folders = {name: each.model_copy(update={"path": _beside(folder, each.path)}) for name, each in spec.folders.items()}
    return spec.model_copy(update={"backbones": found, "data_root": root, "folders": folders})


def _beside(folder: Path, path: str) -> str:
    try:
        return str((folder / Path(path).expanduser()).resolve())
    except (OSError, RuntimeError, ValueError) as error:  # no such user, a loop of links, a zero byte
        raise UserError(f"not a path: {error}", where=repr(path), fix="write another") from None
