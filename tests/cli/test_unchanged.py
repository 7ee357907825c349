"""When a run is known to repeat the last one, and when not."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmark.cli import unchanged
from benchmark.cli.unchanged import LastRun, only_reads_the_suite
from benchmark.config import loader, paths
from benchmark.config.schema import RunSpec


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A finished run in a small suite, and the options of its command."""
    for name in ("engine/a.py", "methods/m.py", "datasets/d.py", "pairs.yaml", "out/cells/ab/abc/record.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    for name in (
        "results.csv",
        "runs.csv",
        "uncertainty.csv",
        "gallery.json",
        "run.json",
        "page.html",
        "page.md",
        "page/tables/t.csv",
    ):
        file = tmp_path / "out" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("1")
    monkeypatch.setattr(paths, "PACKAGE", tmp_path / "engine")
    monkeypatch.setattr(paths, "bundled", lambda name: tmp_path / name)
    monkeypatch.setattr(unchanged, "only_reads_the_suite", lambda spec: True)
    options = SimpleNamespace(
        out=tmp_path / "out", report=tmp_path / "out/page.html", upgrade_pairs=tmp_path / "pairs.yaml", given=["--seeds=1"]
    )
    LastRun(options).remember(None, "the end\n")
    return options


def test_the_same_command_says_the_same(made):
    assert LastRun(made).closing() == "the end\n"


@pytest.mark.parametrize(
    "name",
    [
        "engine/a.py",
        "methods/m.py",
        "datasets/d.py",
        "pairs.yaml",
        "out/cells/ab/abc/record.json",
        "out/results.csv",
        "out/gallery.json",
        "out/page.html",
        "out/page.md",
        "out/page/tables/t.csv",
    ],
)
@pytest.mark.parametrize("change", ["edited", "touched", "removed"])
def test_whatever_is_changed_is_noticed(made, tmp_path, name, change):
    file: Path = tmp_path / name
    if change == "removed" and name != "pairs.yaml":
        file.unlink()
    elif change == "touched":
        os.utime(file, ns=(1, 1))
    else:
        file.write_text("another")
    assert LastRun(made).closing() is None


def test_whatever_is_added_is_noticed(made, tmp_path):
    (tmp_path / "methods/new.py").write_text("")
    assert LastRun(made).closing() is None


def test_another_command_is_another_run(made):
    made.given = ["--seeds=2"]
    assert LastRun(made).closing() is None


def test_another_package_is_noticed(made, monkeypatch):
    monkeypatch.setattr(unchanged.metadata, "distributions", lambda: [SimpleNamespace(name="torch", version="9.9")])
    assert LastRun(made).closing() is None


@pytest.mark.parametrize("content", ["", "[]", '{"inputs": 1}', "{"])
def test_a_damaged_note_is_no_note(made, content):
    (made.out / unchanged.FILE).write_text(content)
    assert LastRun(made).closing() is None


def test_files_from_elsewhere_are_read_again():
    """Those of the embedded default come with the suite; a data root, a plugin or a folder of one's own does not."""
    spec = loader.load(loader.find(None))
    assert only_reads_the_suite(spec)
    elsewhere: list[RunSpec] = [
        spec.model_copy(update={"data_root": "/data"}),
        spec.model_copy(update={"plugins": ("/ours",)}),
        spec.model_copy(update={"folders": {"parts": None}}),
        spec.model_copy(update={"backbones": {"a": spec.backbones["v1"].model_copy(update={"model": "local-dir:/a"})}}),
    ]
    assert not any(map(only_reads_the_suite, elsewhere))
