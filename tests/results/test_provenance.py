"""Facts about a run: settings that differ between tasks, counts of data sets, versions, machine."""

from __future__ import annotations

from importlib import metadata
from types import SimpleNamespace

import pytest

from benchmark.experiment.plan import Configuration
from benchmark.results import provenance


def job(method: str, label: str, **settings: object) -> SimpleNamespace:
    return SimpleNamespace(train=SimpleNamespace(configuration=Configuration(method, label, {}), settings=settings))


def test_settings_that_differ_between_tasks_are_all_named():
    jobs = [job("coop", "default", lr=0.1, steps=5), job("coop", "default", lr=0.1, steps=9), job("coop", "lr=1", lr=1)]
    assert provenance._settings(SimpleNamespace(jobs=jobs)) == {
        "coop": {"lr": 0.1, "steps": "5, 9 (by task)"},
        "coop (lr=1)": {"lr": 1},
    }


def test_counts_of_a_data_set_are_the_largest_of_its_tasks():
    def test_set(classes: int, images: int, name: str = "") -> SimpleNamespace:
        return SimpleNamespace(name=name, classes=("c",) * classes, examples=[0] * images)

    def task(train: int, *tests: SimpleNamespace) -> SimpleNamespace:
        return SimpleNamespace(id=SimpleNamespace(dataset="a"), train=[0] * train, tests=tests)

    def dataset(title: str, shift_of: str | None = None) -> SimpleNamespace:
        return SimpleNamespace(title=title, licence="CC0", source="s", template="{}", shift_of=shift_of)

    tasks = {1: task(6, test_set(3, 30)), 2: task(16, test_set(8, 80), test_set(6, 50, "b"))}
    described = provenance.datasets({"a": dataset("A"), "b": dataset("B", "a")}, SimpleNamespace(tasks=tasks))
    assert {name: (each.classes, each.train, each.test) for name, each in described.items()} == {
        "a": (8, 16, 80),
        "b": (6, 0, 50),
    }
    assert described["b"].shift_of == "a"


def test_versions_are_those_installed(monkeypatch: pytest.MonkeyPatch):
    versions = provenance.versions()
    assert versions["numpy"] == metadata.version("numpy")
    monkeypatch.setattr(provenance, "PACKAGES", ("no-such-package", "numpy"))
    assert "no-such-package" not in provenance.versions()


def test_the_commit_is_unknown_without_git(monkeypatch: pytest.MonkeyPatch):
    def missing(*_: object, **__: object) -> None:
        raise FileNotFoundError("git")

    monkeypatch.setattr(provenance.subprocess, "run", missing)
    assert provenance.versions()["commit"] == "unknown"


def test_the_machine_has_its_cores_and_memory():
    facts = provenance.machine()
    assert int(facts["cores"]) >= 1
    assert facts["memory"].endswith(" GiB")
