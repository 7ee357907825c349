"""Where the suite's own files are, and those of users."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from fixtures.checkout import ROOT

from benchmark.config import loader, paths
from benchmark.config.errors import UserError


@pytest.mark.parametrize("name", ["methods", "datasets", "pairs", "pairs.yaml"])
def test_in_a_checkout_they_are_at_its_top(name):
    assert paths.bundled(name) == ROOT / name
    assert paths.is_checkout()


def test_installed_they_are_inside_the_package(tmp_path, monkeypatch):
    (tmp_path / "bundled" / "methods").mkdir(parents=True)
    monkeypatch.setattr(paths, "PACKAGE", tmp_path)
    assert paths.bundled("methods") == tmp_path / "bundled" / "methods"
    assert not paths.is_checkout()


def test_folders_of_plugins_come_after_the_suites_own(tmp_path):
    for name in ("one/methods", "two/datasets", "three/methods", "three/datasets"):
        (tmp_path / name).mkdir(parents=True)
    folders = tuple(tmp_path / name for name in ("one", "two", "three"))
    assert paths.plugin_folders("methods", folders) == [ROOT / "methods", folders[0] / "methods", folders[2] / "methods"]
    assert paths.plugin_folders("datasets", ()) == [ROOT / "datasets"]


@pytest.mark.parametrize("name", ["absent", "empty"])
def test_a_folder_without_plugins_is_refused(name, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=f"{name} has no folder methods/ or datasets/"):
        paths.plugin_folders("methods", (tmp_path / name,))


@pytest.mark.parametrize(
    ("script", "name"),
    [("/x/run_benchmark.py", "python run_benchmark.py"), ("/usr/bin/clip-compat", "clip-compat"), ("", "clip-compat")],
)
def test_how_users_call_it(script, name, monkeypatch):
    monkeypatch.setattr(sys, "argv", [script])
    assert paths.program() == name


def test_the_yaml_of_a_run_without_an_option(tmp_path, monkeypatch):
    """The one in the current folder if there is one, else the bundled default."""
    monkeypatch.chdir(tmp_path)
    assert loader.find(None) == ROOT / "pairs.yaml"
    (tmp_path / "pairs.yaml").write_text("")
    assert loader.find(None).resolve() == tmp_path / "pairs.yaml"


def test_a_yaml_that_comes_with_the_suite_is_found_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert loader.find(Path("pairs/paper.yaml")) == ROOT / "pairs" / "paper.yaml"
    assert loader.find(Path("pairs/none.yaml")) == Path("pairs/none.yaml")
    (tmp_path / "pairs").mkdir()
    (tmp_path / "pairs" / "paper.yaml").write_text("")
    assert loader.find(Path("pairs/paper.yaml")) == Path("pairs/paper.yaml")


def test_the_version_is_that_of_the_package():
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'\nversion = "{paths.suite_version()}"\n' in project
