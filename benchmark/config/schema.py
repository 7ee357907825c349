"""The keys of a run's YAML: which backbones, which upgrades, which data sets. Strict: an unknown key is an error."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from benchmark.config.files import slug
from benchmark.config.paths import RELEASES


class Written(int):
    """An integer in a YAML, with its text."""

    text: str


class Strict(BaseModel):
    """Base of all configuration models: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def listed(value: object) -> object:
    """A tuple, of one text or of a list."""
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


def _numbered(value: object) -> object:
    return (value,) if isinstance(value, int) else tuple(value) if isinstance(value, list) else value


def _is_a_range(crop: tuple[float, float]) -> tuple[float, float]:
    if not 0 < crop[0] <= crop[1] <= 1:
        raise ValueError("crop must be two shares between 0 and 1, the smaller first")
    return crop


def _none_twice(names: tuple[str, ...]) -> tuple[str, ...]:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"{twice!r} is given twice")
    return names


def _as_written(value: object) -> object:
    """A number where a name belongs is taken as it was written: 007 is a fine name of a class."""
    return value.text if isinstance(value, Written) else value


def _is_a_name(name: str) -> str:
    if not re.fullmatch(NAME, name):
        what = "a name begins with a letter or digit, and has up to 60 letters, digits, blanks and - _ . + @ ( )"
        raise ValueError(f"{what}; {name[:60]!r} does not")
    return name


NAME = r"[^\W_][\w.+@() -]{0,59}"
"""Of backbones: names become parts of file names, tables and addresses."""
Word = Annotated[str, BeforeValidator(_as_written)]
Some = Annotated[tuple[Word, ...], BeforeValidator(listed), Field(min_length=1)]
Names = Annotated[Some, AfterValidator(_none_twice)]
Crop = Annotated[tuple[float, float], BeforeValidator(listed), AfterValidator(_is_a_range)]
"""Range of the share of an image's area that a random crop keeps."""


class BackboneSpec(Strict):
    """A CLIP as open_clip names it.

    ``model`` is an architecture ("ViT-B-16-quickgelu"), ``hf-hub:org/repo``, ``local-dir:/path`` or ``bundled:v1``, one of
    the small CLIPs that come with the suite; ``pretrained`` is a tag or a checkpoint file and goes with an architecture
    only. Random weights must be requested with ``pretrained: random``, never by leaving a key out.
    """

    model: Annotated[str, Field(min_length=1)]
    pretrained: Annotated[Word, Field(min_length=1)] | None = None
    seed: int = 0
    """Seed of the random weights when ``pretrained: random``; unused otherwise."""
    title: str | None = None
    note: str | None = None
    """A sentence for the report, such as "toy weights: not evidence about real CLIPs"."""

    @model_validator(mode="after")
    def _has_weights(self) -> BackboneSpec:
        by_folder = self.model.startswith(("local-dir:", "hf-hub:", "bundled:"))
        if by_folder and self.pretrained is not None:
            raise ValueError(f"'pretrained' cannot be combined with model {self.model!r}, which brings its own weights")
        if not by_folder and self.pretrained is None:
            raise ValueError("'pretrained' is missing: give a tag, a checkpoint file, or 'random' for random weights")
        return self

    @property
    def folder(self) -> Path | None:
        """The folder that holds the model; None if it is not one on this machine."""
        kind, separator, place = self.model.partition(":")
        if separator and kind == "bundled":
            return RELEASES / place
        return Path(place) if separator and kind == "local-dir" else None

    @property
    def open_clip_name(self) -> str:
        """The model as open_clip names it."""
        return self.model if self.folder is None else f"local-dir:{self.folder}"


class FolderSpec(Strict):
    """A folder of images that is a data set: ``path`` holds a folder for each class, or folders train, val and test with
    such folders, or is a CSV with the columns path, label and perhaps split."""

    path: str
    """Relative to the YAML."""
    title: str | None = None
    template: str = "a photo of a {}."
    context_words: str = "a photo of a"
    class_names: dict[Word, Word] = Field(default_factory=dict)
    """Names of classes in prompts, by folder name or label; for others the folder name or label is used."""
    base: Annotated[tuple[Word, ...], BeforeValidator(listed)] = ()
    """The base classes of base-to-new; without, the first half in sorted order."""
    shots: Annotated[int, Field(ge=1)] = 16
    crop: Crop | None = (0.08, 1.0)
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
                raise ValueError(f"the name of class {label!r} is empty")
        return names

    @field_validator("base")
    @classmethod
    def _no_class_twice(cls, base: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(base)) < len(base):
            raise ValueError("a base class is given twice")
        return base


class UpgradeSpec(Strict):
    """One old backbone and the newer ones that replace it; a list expands to one upgrade each."""

    old: Word
    new: Some


PROTOCOLS = ("base-to-new", "few-shot", "domain", "cross-dataset")
MANY = 100_000
"""More shots, or a larger seed, are a slip of the finger."""
Seed = Annotated[int, Field(ge=0, le=MANY)]
Numbers = Annotated[tuple[Annotated[int, Field(ge=1, le=MANY)], ...], BeforeValidator(_numbered), Field(min_length=1)]


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
    return tuple({"name": protocol} if isinstance(protocol, str) else protocol for protocol in listed)


TAKEN = ("all", "base", "new", "H")
"""Names that a data set cannot have, because they name parts of one."""


class RunSpec(Strict):
    """A whole ``pairs.yaml``."""

    backbones: Annotated[dict[Annotated[Word, AfterValidator(_is_a_name)], BackboneSpec], Field(min_length=1)]
    upgrades: Annotated[tuple[UpgradeSpec, ...], BeforeValidator(listed), Field(min_length=1)]
    datasets: Names = ("all",)
    folders: dict[str, FolderSpec] = Field(default_factory=dict)
    """The user's own data sets by name; ``datasets`` may name them, and "all" includes them."""
    methods: Names = ("all",)
    protocols: Annotated[tuple[ProtocolSpec, ...], BeforeValidator(_protocols), Field(min_length=1)] = (
        ProtocolSpec(name="base-to-new"),
        ProtocolSpec(name="domain"),
    )
    repairs: Annotated[tuple[Word, ...], BeforeValidator(listed)] = ()
    """Ways to use a module on the new backbone other than as it is: names or globs, all, or none."""
    preset: Literal["paper", "small"] = "paper"
    """Hyper-parameters: the papers' (real CLIPs), or those chosen for towers of icon-world size."""
    shots: Annotated[int, Field(ge=1, le=MANY)] = 16
    seeds: Annotated[tuple[Seed, ...], BeforeValidator(listed), Field(min_length=1)] = (1, 2, 3)
    plugins: Annotated[tuple[str, ...], BeforeValidator(listed)] = ()
    """The user's own folders of methods and data sets, each with a subfolder methods/ or datasets/; relative to the YAML."""
    data_root: str | None = None
    """Folder that holds the data sets which are read from files; relative to the YAML."""
    executor: dict[str, Any] = Field(default_factory=dict)
    """Where cells are computed: its ``name``, and settings of its own."""
    warning: str | None = None
    """Printed with every table that shows the run's numbers."""

    @field_validator("backbones")
    @classmethod
    def _files_can_be_told_apart(cls, backbones: dict[str, BackboneSpec]) -> dict[str, BackboneSpec]:
        known: dict[str, str] = {}
        for name in backbones:
            other = known.setdefault(slug(name), name)
            if other != name:
                raise ValueError(f"{other!r} and {name!r} would share the names of their files; rename one")
        return backbones

    @field_validator("folders")
    @classmethod
    def _plain_names(cls, folders: dict[str, FolderSpec]) -> dict[str, FolderSpec]:
        for name in folders:
            if not re.fullmatch(r"[^\W_][\w.-]{0,59}", name) or name in TAKEN:
                fix = f"use up to 60 letters, digits, '-', '_', '.', and none of {', '.join(TAKEN)}"
                raise ValueError(f"a data set cannot be called {name!r}: {fix}")
        return folders

    @field_validator("protocols")
    @classmethod
    def _no_protocol_twice(cls, protocols: tuple[ProtocolSpec, ...]) -> tuple[ProtocolSpec, ...]:
        names = [protocol.name for protocol in protocols]
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
