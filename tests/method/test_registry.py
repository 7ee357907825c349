"""Plugins: found by folder, asked for by name or pattern, and never able to break more than themselves."""

from __future__ import annotations

import re
import sys

import pytest
from fixtures.checkout import ROOT

from benchmark.config.errors import UserError
from benchmark.method import registry

METHOD = """
from benchmark.method import Info, Method


class Plugin(Method):
    info = Info(name="{name}", title="T", summary="s", tunes=(), depth="none")
"""


@pytest.fixture
def folder(tmp_path):
    """A folder with the methods coop, cocoop and lora."""
    for name in ("coop", "cocoop", "lora"):
        (tmp_path / f"{name}.py").write_text(METHOD.format(name=name))
    return tmp_path


def test_a_folder_is_the_registry(folder):
    (folder / "_private.py").write_text("raise RuntimeError")
    (folder / "notes.txt").write_text("")
    found = registry.methods_in(folder)
    assert sorted(found.plugins) == ["cocoop", "coop", "lora"]
    assert found["coop"].file == folder / "coop.py"
    assert found["coop"].cls.info.name == "coop"
    assert not found.broken


def test_two_files_of_one_name_are_both_named(folder):
    (folder / "another.py").write_text(METHOD.format(name="coop"))
    with pytest.raises(UserError) as caught:
        registry.methods_in(folder)
    assert all(part in str(caught.value) for part in ("another.py", "coop.py", "'coop'", "rename"))


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["all"], ["cocoop", "coop", "lora"]),
        (["co*"], ["cocoop", "coop"]),
        (["*o*", "lora"], ["cocoop", "coop", "lora"]),
        (["?o?a"], ["lora"]),
        (["[kl]ora"], ["lora"]),
        (["lora", "coop", "lora"], ["coop", "lora"]),
        ([], []),
    ],
)
def test_selection(folder, patterns, expected):
    assert registry.methods_in(folder).select(patterns) == expected


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("coopp", "unknown method 'coopp' (fix: did you mean 'coop'?)"),
        ("xyz", "known: cocoop, coop, lora"),
        ("z*", "no method matches 'z*'"),
        ("COOP", "unknown method 'COOP'"),
    ],
)
def test_unknown_names(folder, pattern, words):
    with pytest.raises(UserError) as caught:
        registry.methods_in(folder).select([pattern])
    assert words in str(caught.value)


BROKEN = {
    "syntax": ("def (:", "SyntaxError"),
    "import": ("import nothing_of_that_name", "ModuleNotFoundError"),
    "raise": ("raise ValueError('why not')", "why not"),
    "none": ("x = 1", "defines no subclass of Method"),
    "inherited": (METHOD.format(name="a") + "\n\nclass Other(Plugin):\n    pass\n", "class Other has no 'info' of its own"),
    "twice": (METHOD.format(name="a") + METHOD.format(name="a").replace("Plugin", "Other"), "one name to two classes"),
    "no-info": ("from benchmark.method import Method\n\n\nclass P(Method):\n    pass\n", "info"),
    "exit": ("import sys\nsys.exit(3)", "SystemExit"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_listed_with_its_reason_and_costs_itself_only(folder, case):
    text, reason = BROKEN[case]
    (folder / f"bad_{case.replace('-', '_')}.py").write_text(text)
    found = registry.methods_in(folder)
    name = f"bad-{case}"
    assert sorted(found.plugins) == ["cocoop", "coop", "lora"]
    assert list(found.broken) == [name]
    assert reason in found.broken[name]
    assert "bad_" in found.broken[name]
    assert found.select(["all"]) == ["cocoop", "coop", "lora"]
    with pytest.raises(UserError, match=f"method '{name}' is broken"):
        found.select([name])


def test_one_file_may_define_several_and_what_starts_with_an_underscore_is_ignored(folder):
    base = METHOD.format(name="unused").replace("class Plugin", "class _Base")
    text = base + METHOD.format(name="one").replace("class Plugin(Method)", "class One(_Base)")
    (folder / "several.py").write_text(text + METHOD.format(name="two").replace("class Plugin(Method)", "class Two(_Base)"))
    found = registry.methods_in(folder)
    assert sorted(found.plugins) == ["cocoop", "coop", "lora", "one", "two"]
    assert found["one"].file == found["two"].file


def test_aliases_are_other_names_and_clash_like_names(folder):
    text = METHOD.format(name="prompt").replace("tunes=()", "aliases=('context', 'ctx'), tunes=()")
    (folder / "prompt.py").write_text(text)
    found = registry.methods_in(folder)
    assert found["ctx"].name == "prompt"
    assert found.select(["context", "coop", "prompt"]) == ["coop", "prompt"]
    assert "ctx" not in found.plugins
    (folder / "zz.py").write_text(METHOD.format(name="ctx"))
    with pytest.raises(UserError, match=r"two files define the method 'ctx': .*prompt.py and .*zz.py"):
        registry.methods_in(folder)


def test_an_imported_class_is_not_the_files_own(folder):
    """``from methods.x import Y`` style reuse must not count as a second plugin."""
    text = METHOD.format(name="child") + "\n\nfrom benchmark.method import Method as Base\n\n_AGAIN = Base\n"
    (folder / "child.py").write_text(text)
    assert "child" in registry.methods_in(folder).plugins


def test_the_plugin_digest_follows_the_file(folder):
    before = registry.methods_in(folder)["coop"].digest
    assert registry.methods_in(folder)["coop"].digest == before
    with (folder / "coop.py").open("a") as file:
        file.write("# a comment\n")
    assert registry.methods_in(folder)["coop"].digest != before


def test_our_folders_shadow_no_package():
    """Plugins live under a private name; ``datasets`` and ``methods`` are never imported as packages."""
    registry.methods()
    registry.datasets()
    assert any(re.fullmatch(r"_clip_compat_datasets_[0-9a-f]{8}\.digits", name) for name in sys.modules)
    for name in ("datasets", "methods"):
        assert str(ROOT / name) not in str(getattr(sys.modules.get(name), "__file__", ""))
        assert not (ROOT / name / "__init__.py").exists()


def test_shipped_plugins_are_whole():
    methods, datasets = registry.methods(), registry.datasets()
    assert not methods.broken
    assert not datasets.broken
    for name, plugin in datasets.plugins.items():
        cls = plugin.cls
        assert cls.title, name
        assert cls.licence, name
        assert cls.source, name
        assert cls.template.count("{}") == 1, name
        assert cls.shift_of is None or cls.shift_of in datasets.plugins, name


def test_no_method_is_named_outside_its_own_file():
    """The engine knows methods by what they declare, never by name."""
    names = sorted(registry.methods().plugins)
    words = {form for name in names if name != "zero-shot" for form in (name, name.replace("-", "_"))}
    any_word = re.compile(rf"(?<![\w-])(?:{'|'.join(re.escape(word) for word in words)})(?![\w-])")
    found = [
        f"{file.relative_to(ROOT)}:{number}: {line.strip()}"
        for file in sorted((ROOT / "benchmark").rglob("*.py"))
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1)
        # "coop" is also the name of a package, for the folder layout of CoOp's data
        if any_word.search(line.replace("data.coop", "")) and "as in coop.n_ctx=8" not in line
    ]
    assert found == []
