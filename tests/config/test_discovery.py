"""A package's folder is a registry: a file is enough."""

from __future__ import annotations

import importlib
import sys

import pytest

from benchmark.config.discovery import classes_in, file_names, summaries

BASE = "class Base:\n    pass\n"
FILES = {
    "__init__.py": "",
    "b_second.py": '"""The second."""\nfrom kinds.base import Base\n\n'
    "class Zed(Base):\n    pass\n\nclass Abe(Base):\n    pass\n",
    "a_first.py": (
        '"""The first.\n\nMore."""\nfrom abc import ABC, abstractmethod\nfrom kinds.base import Base\n'
        "class _Hidden(Base):\n    pass\n\nclass Abstract(Base, ABC):\n    @abstractmethod\n    def do(self): ...\n\n"
        "class Concrete(Abstract):\n    def do(self): ...\n"
    ),
    "_private.py": "raise RuntimeError\n",
    "base.py": BASE,
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    (tmp_path / "kinds").mkdir()
    for name, text in FILES.items():
        (tmp_path / "kinds" / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("kinds")
    for name in [name for name in sys.modules if name.partition(".")[0] == "kinds"]:
        del sys.modules[name]


def test_concrete_classes_by_file_and_in_the_files_order(package):
    base = importlib.import_module("kinds.base").Base
    assert [cls.__name__ for cls in classes_in(package, base)] == ["Concrete", "Zed", "Abe", "Base"]


def test_names_and_summaries_are_read_without_importing(package):
    assert file_names(package) == ["a_first", "b_second", "base"]
    assert summaries(package) == {"a_first": "The first.", "b_second": "The second.", "base": ""}
    assert "kinds.a_first" not in sys.modules
