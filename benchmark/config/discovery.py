"""A folder as a registry: the classes that the files of a package define. Adding one is adding a file."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from pathlib import Path
from types import ModuleType
from typing import TypeVar

T = TypeVar("T")


def classes_in(package: ModuleType, base: type[T]) -> list[type[T]]:
    """The concrete subclasses of ``base`` that the files of ``package`` define, by file name, then in the file's order.

    Files and classes whose names start with an underscore are left out.
    """
    classes = []
    for info in pkgutil.iter_modules(package.__path__):
        if not info.name.startswith("_"):
            module = importlib.import_module(f"{package.__name__}.{info.name}")
            classes += [
                cls
                for name, cls in vars(module).items()
                if inspect.isclass(cls)
                and issubclass(cls, base)
                and cls.__module__ == module.__name__
                and not inspect.isabstract(cls)
                and not name.startswith("_")
            ]
    return classes


def file_names(package: ModuleType) -> list[str]:
    """Names of the files of ``package``, sorted, without importing them."""
    return [info.name for info in pkgutil.iter_modules(package.__path__) if not info.name.startswith("_")]


def summaries(package: ModuleType) -> dict[str, str]:
    """The first line of each file's docstring by file name, read without importing the files (for --help)."""
    files = {file.stem: file for folder in reversed(list(package.__path__)) for file in Path(folder).glob("*.py")}
    texts = {name: ast.get_docstring(ast.parse(files[name].read_text(encoding="utf-8"))) for name in file_names(package)}
    return {name: (text or "").partition("\n")[0] for name, text in texts.items()}
