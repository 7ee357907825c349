"""The contract of an analysis: a question, the columns of its answer, and how to find it.

To add one, put a file with a subclass of ``Analysis`` into ``benchmark/analysis/analyses/``: ``analyse`` then runs it and
the report shows its table. A file of the same name in ``benchmark/report/analyses/`` adds sentences and figures.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, ClassVar

import pandas as pd

from benchmark.analysis import analyses
from benchmark.analysis.study import Study
from benchmark.config.discovery import classes_in
from benchmark.config.errors import UserError, did_you_mean
from benchmark.config.schema import RunSpec, Strict


class NoSettings(Strict):
    """For analyses without settings."""


class Analysis(ABC):
    """A sweep over one data set in base and new classes that says why modules survive an upgrade, or what to do about it."""

    name: ClassVar[str]
    """What users type."""
    title: ClassVar[str]
    question: ClassVar[str]
    explains: ClassVar[bool]
    """True if it says why modules survive; False if it says what to do."""
    text_columns: ClassVar[tuple[str, ...]]
    number_columns: ClassVar[tuple[str, ...]]
    flag_columns: ClassVar[tuple[str, ...]] = ()
    """Those of the text columns that hold True and False."""
    later_columns: ClassVar[Mapping[str, str]] = {}
    """Columns that its files of earlier versions lack, and the fields that they get."""
    former_names: ClassVar[tuple[str, ...]] = ()
    """Its names in earlier versions, which its files may still have."""
    Settings: ClassVar[type[Strict]] = NoSettings
    """What ``--set KEY=VALUE`` may set."""

    def prepare(self, spec: RunSpec, settings: Any) -> RunSpec:
        """The run that the analysis works on; that of the YAML unless it needs another.

        Raises:
            UserError: something that it needs is missing.
        """
        return spec

    @abstractmethod
    def run(self, study: Study, settings: Any) -> pd.DataFrame:
        """Compute the answer, a row per finding with all columns. Finished cells are kept, so it can be interrupted."""

    @abstractmethod
    def overview(self, table: pd.DataFrame) -> tuple[str, pd.DataFrame]:
        """(title, table) for the terminal: the most telling columns, at most some forty rows. The index holds texts."""

    @property
    def columns(self) -> list[str]:
        return [*self.text_columns, *self.number_columns]


@lru_cache(maxsize=1)
def all_analyses() -> dict[str, Analysis]:
    """The analyses by name: those that explain first, in the order of their files."""
    instances = [cls() for cls in classes_in(analyses, Analysis)]  # type: ignore[type-abstract]
    return {analysis.name: analysis for analysis in sorted(instances, key=lambda analysis: not analysis.explains)}


def find_analysis(name: str) -> Analysis:
    """An analysis.

    Raises:
        UserError: there is none of this name.
    """
    known = all_analyses()
    if name not in known:
        raise UserError(f"unknown analysis {name!r}", fix=did_you_mean(name, known))
    return known[name]
