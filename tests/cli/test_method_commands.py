"""The commands for those who read about methods or write one: methods, new-method, check-method, cite."""

from __future__ import annotations

import re

import pytest
import torch

from benchmark.cli import methods
from benchmark.method import registry
from benchmark.training.checks import capability, contract

METHODS = registry.methods()


def test_methods_lists_all_of_them(cli, monkeypatch):
    monkeypatch.setattr(registry, "methods", lambda: METHODS)
    done = cli("methods")
    assert done.status == 0, done.err
    for name in METHODS.plugins:
        assert re.search(rf"│ {re.escape(name)} +│", done.out), name


@pytest.mark.parametrize("name", sorted(METHODS.plugins))
def test_methods_shows_one_in_full(cli, monkeypatch, name):
    monkeypatch.setattr(registry, "methods", lambda: METHODS)
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


def test_an_alias_will_do_and_a_typo_is_one_line(cli, monkeypatch):
    monkeypatch.setattr(registry, "methods", lambda: METHODS)
    assert "CLIP-LoRA (clip-lora)" in cli("methods", "lora").out
    done = cli("methods", "clip-lorra")
    assert done.status == 2
    assert "did you mean 'clip-lora'?" in done.err


@pytest.mark.parametrize("name", ["mine", "my-new-adapter2"])
def test_a_new_method_works_and_keeps_the_contract(cli, tmp_path, name):
    assert cli("new-method", name, f"--folder={tmp_path}").status == 0
    assert registry.methods(tmp_path).plugins.keys() == {name}
    done = cli("check-method", name, f"--folder={tmp_path}")
    assert done.status == 0, done.out
    assert "keeps the contract" in done.out


@pytest.mark.parametrize(
    ("name", "words"), [("Mine", "no name for a method"), ("a--b", "no name"), ("coop", "already"), ("9lives", "no name")]
)
def test_a_bad_name_is_refused(cli, tmp_path, name, words):
    done = cli("new-method", name, f"--folder={tmp_path}")
    assert done.status == 2
    assert words in done.err
    assert done.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(cli, tmp_path):
    (tmp_path / "mine.py").write_text("x = 1")
    done = cli("new-method", "mine", f"--folder={tmp_path}")
    assert done.status == 2
    assert "exists" in done.err
    assert (tmp_path / "mine.py").read_text() == "x = 1"
    assert "cannot be written" in cli("new-method", "mine", f"--folder={tmp_path}/absent").err


def test_check_method_says_what_to_mend(cli, tmp_path):
    cli("new-method", "mine", f"--folder={tmp_path}")
    file = tmp_path / "mine.py"
    file.write_text(file.read_text().replace('parameters="d"', 'parameters="2 * d"'))
    done = cli("check-method", "mine", f"--folder={tmp_path}")
    assert done.status == 1
    assert "info.parameters gives 64, but there are 32" in " ".join(done.out.replace("│", " ").split())
    assert f"1 of {len(contract.CHECKS)} checks failed" in done.out
    file.write_text("import nothing_such")
    broken = cli("check-method", "mine", f"--folder={tmp_path}")
    assert broken.status == 2
    assert "ModuleNotFoundError" in broken.err


def test_cite_prints_what_a_report_contains(cli, tmp_path):
    (tmp_path / "results.csv").write_text("pair,method\na->b,coop\na->b,zero-shot\na->b,gone\n")
    done = cli("cite", f"--out={tmp_path}")
    assert done.status == 0
    assert done.out.count("@") == 5  # this suite, the question's paper, open_clip, CoOp, CLIP
    assert METHODS["coop"].cls.info.bibtex in done.out
    assert "clip-adapter" not in done.out.lower()
    assert "no method 'gone'" in done.err


@pytest.mark.parametrize("content", [None, "a,b\n1,2\n", "\xff\xfe"])
def test_cite_without_results_is_one_line(cli, tmp_path, content):
    if content is not None:
        (tmp_path / "results.csv").write_text(content, encoding="latin-1")
    done = cli("cite", f"--out={tmp_path}")
    assert done.status == 2
    assert str(tmp_path / "results.csv") in done.err
    assert done.err.count("\n") == 1


# --- capabilities --------------------------------------------------------------------------------------------------


def test_capabilities_are_what_the_formulas_say():
    names = "coop cocoop clip-adapter tip-adapter clip-lora-text vpt linear-probe word-prompt zero-shot".split()
    found = {each.name: each for each in capability.check_capabilities({name: METHODS[name].cls for name in names})}
    assert found.keys() == set(names) - {"zero-shot"}
    changes = {name: each.changes for name, each in found.items()}
    assert changes == {
        "coop": ("text",),
        "cocoop": ("scores",),
        "clip-adapter": ("image",),
        "tip-adapter": ("scores",),
        "clip-lora-text": ("text",),
        "vpt": ("image",),
        "linear-probe": ("scores",),
        "word-prompt": ("text",),
    }
    runs = {name: each.runs for name, each in found.items()}
    assert runs == {
        "coop": ("text",),
        "cocoop": ("text",),
        "clip-adapter": (),
        "tip-adapter": (),
        "clip-lora-text": ("text",),
        "vpt": ("image",),
        "linear-probe": (),
        "word-prompt": ("text",),
    }
    assert {name for name, each in found.items() if not each.unseen} == {"tip-adapter", "linear-probe"}
    assert {name for name, each in found.items() if each.needs_images} == {"tip-adapter"}
    assert {name for name, each in found.items() if not each.other_embedding} == {"cocoop", "clip-adapter", "linear-probe"}
    assert {name for name, each in found.items() if not each.other_text} == {"coop", "cocoop", "clip-lora-text"}
    assert all(each.other_vision for each in found.values())


def test_probing_leaves_random_numbers_as_they_were():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    capability.check_capabilities({"vpt": METHODS["vpt"].cls})
    assert torch.equal(torch.rand(3), expected)
