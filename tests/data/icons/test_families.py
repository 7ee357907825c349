"""Icon families: what they declare, and how glyph names are parsed."""

from __future__ import annotations

from dataclasses import replace
from importlib import metadata, util

import pytest

from benchmark.config.errors import UserError
from benchmark.data.icons.families import FAMILIES, requirement


def test_every_family_names_its_licence_and_source():
    for family in FAMILIES.values():
        assert family.licence
        assert family.source
        assert family.package


@pytest.mark.parametrize(
    ("family", "name", "expected"),
    [
        ("remix", "home-fill", ("home", "fill")),
        ("remix", "home", ("home", "line")),
        ("phosphor", "arrow-up-thin", ("arrow-up", "thin")),
        ("phosphor", "thin", ("thin", "regular")),
        ("fluent", "ic-fluent-add-circle-24-regular", ("add-circle", "regular")),
        ("fluent", "add-circle", None),
        ("lucide", "icon-house", ("house", "outline")),
    ],
)
def test_glyph_names_are_parsed_into_drawing_and_style(family, name, expected, tmp_path):
    source = FAMILIES[family]
    default = source.fonts[0][2]
    glyphs = [glyph for glyph, _ in source._parse(name, default, tmp_path, 65)]
    assert [(glyph.stem, glyph.style) for glyph in glyphs] == ([expected] if expected else [])
    assert all((glyph.name, glyph.codepoint) == (name, 65) for glyph in glyphs)


def test_of_several_sizes_the_one_nearest_to_24_pixels_is_taken(monkeypatch, tmp_path):
    family = FAMILIES["fluent"]
    names = [f"ic-fluent-add-{size}-regular" for size in (16, 48, 20, 32)]

    def candidates(self):
        return (pair for name in names for pair in self._parse(name, "regular", tmp_path, 1))

    monkeypatch.setattr(type(family), "_candidates", candidates)
    assert [glyph.name for glyph in family.glyphs()] == ["ic-fluent-add-20-regular"]


def test_an_absent_package_is_named_with_its_pinned_version(monkeypatch):
    monkeypatch.setattr(util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"'tablerpy' is not installed \(fix: pip install tablerpy==0\.2\.0\)"):
        FAMILIES["tabler"].folder()


def test_requirements_are_those_of_the_project(monkeypatch):
    assert requirement("QtAwesome") == "qtawesome==1.4.2"
    assert requirement("tkinter-icons-bs") == "tkinter-icons-bs==1.1.1"
    assert requirement("unknown") == "unknown"

    def absent(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", absent)
    assert requirement("QtAwesome") == "QtAwesome"


def test_a_package_of_another_version_is_refused():
    family = replace(FAMILIES["tabler"], fonts=(("no-such-font-*.ttf", "no-such-table-*.json", "outline"),))
    with pytest.raises(UserError, match=r"expected one file like 'no-such-font-\*.ttf', found 0"):
        family.glyphs()
