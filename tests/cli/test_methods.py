"""``methods``: the table, and one method in full."""

from __future__ import annotations

import re

import pytest

from benchmark.cli import methods
from benchmark.method import registry

METHODS = registry.methods()


@pytest.fixture(autouse=True)
def all_methods(monkeypatch):
    """The suite's own methods instead of the toy checkout's."""
    monkeypatch.setattr(registry, "methods", lambda plugins=(): METHODS)


def test_methods_lists_all_of_them(cli):
    done = cli("methods")
    assert done.status == 0, done.err
    for name in METHODS.plugins:
        assert re.search(rf"│ {re.escape(name)} +│", done.out), name


@pytest.mark.parametrize("name", sorted(METHODS.plugins))
def test_methods_shows_one_in_full(cli, name):
    done = cli("methods", name)
    info, flat = METHODS[name].cls.info, " ".join(cli("methods", name).out.split())
    assert done.status == 0, done.err
    for words in (info.title, info.paper, info.url, info.code, info.parameters, info.transfer, info.bibtex):
        assert " ".join(words.split()) in flat, words
    for key in METHODS[name].cls.Config.model_fields:
        assert f"│ {key} " in done.out, key


def test_every_setting_that_a_method_adds_is_explained():
    """By a text under the field, or by the class's own (what a formula calls it)."""
    inherited = set(registry.Method.Config.model_fields)
    for name, plugin in METHODS.plugins.items():
        told = methods._meanings(plugin.cls.Config)
        own = set(plugin.cls.Config.model_fields) - inherited
        known = {
            key for key in own if key in told or key in ("rank", "alpha", "beta", "dropout", "encoder", "position", "roles")
        }
        known |= {key for key in own if key.endswith(("_weight", "depth", "_std", "max_iter")) or key.startswith("largest_")}
        assert known == own, (name, own - known)


def test_an_alias_will_do_and_a_typo_is_one_line(cli):
    assert "CLIP-LoRA (clip-lora)" in cli("methods", "lora").out
    done = cli("methods", "clip-lorra")
    assert done.status == 2
    assert "did you mean 'clip-lora'?" in done.err
