"""The rules of the house that no linter checks."""

from __future__ import annotations

import ast
import re

from fixtures.checkout import ROOT

from benchmark.method import registry

CODE = sorted(
    file for folder in ("benchmark", "methods", "datasets", "pretraining") for file in (ROOT / folder).rglob("*.py")
)
LONGEST_FILE, LONGEST_FUNCTION = 400, 60
ROOMS = ("config", "backbones", "data", "method", "training", "experiment", "results", "analysis", "report", "cli")


def relative(file):
    return str(file.relative_to(ROOT))


def test_files_and_functions_are_short():
    long = []
    for file in CODE:
        text = file.read_text(encoding="utf-8")
        if text.count("\n") > LONGEST_FILE:
            long.append(relative(file))
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and (node.end_lineno or 0) - node.lineno + 1 > LONGEST_FUNCTION:
                long.append(f"{relative(file)}: {node.name}")
    assert long == []


def test_every_module_of_the_engine_is_in_a_room():
    inside = {path.name for path in (ROOT / "benchmark").iterdir() if path.name not in ("__pycache__", "bundled")}
    assert inside == {*ROOMS, "__init__.py", "api.py", "py.typed"}


def test_the_engine_names_no_method():
    names = set(registry.methods().plugins) - {"zero-shot"}
    quoted = re.compile(r"[\"'](" + "|".join(re.escape(name) for name in sorted(names)) + r")[\"']")
    for file in (ROOT / "benchmark").rglob("*.py"):
        for line in file.read_text(encoding="utf-8").splitlines():
            assert not quoted.search(line), f"{relative(file)}: {line.strip()}"


def test_modules_with_logic_have_a_test_file_of_their_name():
    """Files that only define data, or are reached only as part of their neighbour, are named here with the reason."""
    without = {
        "benchmark/config/missing.py": "a record",
        "benchmark/report/contents.py": "records",
        "benchmark/report/model.py": "records, filled by method_rows and sections",
        "benchmark/backbones/towers/layouts/openai_vit.py": "test_base and the formulas run on it",
        "benchmark/backbones/towers/layouts/timm_vit.py": "test_base and the formulas run on it",
        "benchmark/training/checks/tiny_clips.py": "what the tests of methods run on",
    }
    absent = []
    for file in (ROOT / "benchmark").rglob("*.py"):
        place = file.relative_to(ROOT / "benchmark")
        has_logic = any(isinstance(node, ast.FunctionDef) for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
        if file.name == "__init__.py" or not has_logic or relative(file) in without:
            continue
        if not (ROOT / "tests" / place.parent / f"test_{place.name}").is_file():
            absent.append(str(place))
    assert absent == []
