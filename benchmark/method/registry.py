"""Plugin discovery: the folder is the registry. Files are loaded by path under a private module name, so that our
``datasets/`` neither hides nor is hidden by a package of that name."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar

from benchmark.config import paths
from benchmark.config.errors import UserError, clean, did_you_mean
from benchmark.config.schema import FolderSpec
from benchmark.data.coop.user_folder import user_folder
from benchmark.data.dataset import Dataset
from benchmark.method.base import Method

T = TypeVar("T")


@dataclass(frozen=True)
class Plugin(Generic[T]):
    """One drop-in class and the file it came from."""

    name: str
    cls: type[T]
    file: Path
    digest: str = ""
    """Hash of the file when it was read, to tell when a plugin was edited without raising its version."""


@dataclass
class Registry(Generic[T]):
    """The plugins of one folder, by name; files that could not be imported are in ``broken`` with the reason."""

    kind: str
    plugins: dict[str, Plugin[T]] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    """Other names by which users may ask for a plugin."""
    broken: dict[str, str] = field(default_factory=dict)
    skipped: Mapping[str, str] = field(default_factory=dict)
    """Files that must not be imported, and why."""
    listed: Callable[[type[T]], bool] = lambda cls: True
    """False for a plugin that "all" leaves out."""

    def __getitem__(self, name: str) -> Plugin[T]:
        name = self.aliases.get(name, name)
        if name in self.plugins:
            return self.plugins[name]
        if name in self.broken:
            raise UserError(f"{self.kind} {name!r} is broken: {self.broken[name]}", fix="fix the file")
        raise UserError(f"unknown {self.kind} {name!r}", fix=did_you_mean(name, self.plugins))

    def select(self, patterns: Iterable[str]) -> list[str]:
        """Names that match: plain names, globs such as ``co*``, or ``all``, which takes those that are ``listed``.

        Raises:
            UserError: a plain name is unknown or broken, or a glob matches nothing.
        """
        chosen: set[str] = set()
        for pattern in patterns:
            if pattern == "all":
                chosen |= {name for name, plugin in self.plugins.items() if self.listed(plugin.cls)}
            elif is_glob(pattern):
                matching = {name for name in self.plugins if matches(name, pattern)}
                if not matching:
                    raise UserError(f"no {self.kind} matches {pattern!r}", fix=f"known: {', '.join(sorted(self.plugins))}")
                chosen |= matching
            else:
                chosen.add(self[pattern].name)
        return sorted(chosen)


def baseline_of(methods: Registry[Method]) -> str:
    """Name of the zero-shot method, which everything is compared to; empty if there is none."""
    return next((name for name, plugin in methods.plugins.items() if plugin.cls.info.baseline), "")


def is_glob(pattern: str) -> bool:
    """True if a pattern can match several names."""
    return any(sign in pattern for sign in "*?[")


def matches(name: str, pattern: str) -> bool:
    """True if a pattern matches a name."""
    return pattern == "all" or fnmatchcase(name, pattern)


def plugin_files(*folders: Path) -> list[Path]:
    """The files of folders that may define plugins."""
    return [file for folder in folders for file in sorted(folder.glob("*.py")) if not file.name.startswith("_")]


def import_file(file: Path) -> ModuleType:
    """Import a plugin's file; whatever it raises is raised. As with ``import``, a file that has not changed is run once."""
    return _import(file)[1]


_imported: dict[str, tuple[str, ModuleType]] = {}
"""The digest and the module of each file that was imported, by the module's name."""


def _import(file: Path) -> tuple[str, ModuleType]:
    """The digest of a plugin's file, and its module."""
    place = hashlib.sha256(str(file.parent).encode()).hexdigest()[:8]
    name = f"_clip_compat_{file.parent.name}_{place}.{file.stem}"
    digest = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    if name not in _imported or _imported[name][0] != digest:
        _imported[name] = digest, _load(name, file)
    return _imported[name]


def _discover(
    registry: Registry[T],
    base: type[T],
    folder: Path,
    name_of: Callable[[Any], str],
    aliases_of: Callable[[Any], Sequence[str]],
) -> None:
    """Add the plugins of a folder to a registry."""
    for file in plugin_files(folder):
        slug = file.stem.replace("_", "-")
        if str(file) in registry.skipped:
            registry.broken[slug] = f"{file}: {registry.skipped[str(file)]}"
            continue
        try:
            digest, module = _import(file)
            classes = _classes(module, base, file)
            named = {name_of(cls): cls for cls in classes}
            if len(named) < len(classes):
                raise TypeError(f"{file} gives one name to two classes")
            for name in named:
                _check_name(name)
            aliases = {alias: name for name, cls in named.items() for alias in aliases_of(cls)}
        except (Exception, SystemExit) as error:  # whatever a plugin's import raises must affect that plugin only
            registry.broken[slug] = clean(f"{file}: {type(error).__name__}: {clean(error)}")
            continue
        for name in (*named, *aliases):
            taken = registry.plugins.get(registry.aliases.get(name, name))
            if taken:
                what = f"two files define the {registry.kind} {name!r}: {taken.file} and {file}"
                raise UserError(what, fix="rename one of them")
        registry.plugins |= {name: Plugin(name, cls, file, digest) for name, cls in named.items()}
        registry.aliases |= aliases


def _check_name(name: object) -> None:
    """Names become parts of file names, addresses and what users type."""
    if not isinstance(name, str) or not re.fullmatch(r"[^\W_][\w.-]{0,59}", name):
        raise TypeError(f"{clean(name, 80)!r} cannot be a name: use up to 60 letters, digits, '-', '_' and '.'")


def _classes(module: ModuleType, base: type[T], file: Path) -> list[type[T]]:
    """The plugins that a file defines, in its order; classes whose names start with an underscore are ignored."""
    classes = [
        cls
        for name, cls in vars(module).items()
        if inspect.isclass(cls) and issubclass(cls, base) and cls.__module__ == module.__name__ and name[0] != "_"
    ]
    if not classes:
        raise TypeError(f"{file} defines no subclass of {base.__name__}")
    return classes


def _declared(cls: type, name: str) -> Any:
    """An attribute that a class declares itself; an inherited one would be another plugin's."""
    if name not in vars(cls):
        raise TypeError(
            f"class {cls.__name__} has no {name!r} of its own (start the name of a class that is not a plugin with _)"
        )
    return vars(cls)[name]


def _load(name: str, file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # pydantic and dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


NONE: Mapping[str, str] = {}


def methods(plugins: tuple[Path, ...] = (), skipped: Mapping[str, str] = NONE) -> Registry[Method]:
    """The methods that come with the suite and those in the ``methods/`` of the user's folders; ``skipped`` has files that
    must not be imported, and why.

    Raises:
        UserError: two have the same name.
    """
    return methods_in(*paths.plugin_folders("methods", plugins), skipped=skipped)


def methods_in(*folders: Path, skipped: Mapping[str, str] = NONE) -> Registry[Method]:
    """The methods of some folders."""
    registry: Registry[Method] = Registry("method", skipped=skipped, listed=lambda cls: cls.info.listed)
    for folder in folders:
        _discover(registry, Method, folder, lambda cls: _declared(cls, "info").name, lambda cls: cls.info.aliases)
    return registry


def datasets(
    plugins: tuple[Path, ...] = (), own: Mapping[str, FolderSpec] | None = None, skipped: Mapping[str, str] = NONE
) -> Registry[Dataset]:
    """The data sets that come with the suite, those in the ``datasets/`` of the user's folders, and those that a YAML
    describes; ``skipped`` has files that must not be imported, and why.

    Raises:
        UserError: two have the same name.
    """
    return datasets_in(*paths.plugin_folders("datasets", plugins), own=own, skipped=skipped)


def datasets_in(
    *folders: Path, own: Mapping[str, FolderSpec] | None = None, skipped: Mapping[str, str] = NONE
) -> Registry[Dataset]:
    """The data sets of some folders, and those that a YAML describes."""
    registry: Registry[Dataset] = Registry("dataset", skipped=skipped)
    for folder in folders:
        _discover(registry, Dataset, folder, lambda cls: _declared(cls, "name"), lambda cls: ())
    for name, spec in (own or {}).items():
        if name in registry.plugins:
            raise UserError(f"folders: {name!r} is the name of another dataset", fix="choose another name")
        registry.plugins[name] = Plugin(name, user_folder(name, spec), Path(spec.path))
    return registry
