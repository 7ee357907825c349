"""A table of the report, defined once: the page, Markdown, CSV and LaTeX are all made from the same columns and cells."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from benchmark.report.numbers import number, signed

NAN = float("nan")
ROW_ATTRIBUTES = {"Method": "method", "Methods": "method", "Upgrade": "pair", "Trained on": "dataset"}
"""Columns that the page's filters use, by the filter's name."""


@dataclass(frozen=True)
class Interval:
    """A mean and its confidence interval; the bounds are NaN with fewer than two seeds."""

    mean: float = NAN
    low: float = NAN
    high: float = NAN
    p: float = NAN
    """P-value of the hypothesis that the true value is 0, corrected for the number of methods in the table."""
    p_outside: float = NAN
    """P-value of the hypothesis that the true value is at least a point from 0, corrected in the same way."""

    @property
    def half(self) -> float:
        return (self.high - self.low) / 2

    @property
    def known(self) -> bool:
        return math.isfinite(self.low) and math.isfinite(self.high)

    def __str__(self) -> str:
        return signed(self.mean) + (f" ± {number(self.half)}" if self.known else "")


@dataclass(frozen=True)
class Share:
    """A ratio with its interval, shown in per cent."""

    ratio: Interval

    @property
    def percent(self) -> str:
        return f"{number(100 * self.ratio.mean, 0)} %" if math.isfinite(self.ratio.mean) else ""

    @property
    def range(self) -> str:
        ratio = self.ratio
        return f"{number(100 * ratio.low, 0)} to {number(100 * ratio.high, 0)}" if ratio.known else ""

    def __str__(self) -> str:
        return f"{self.percent} ({self.range})" if self.percent and self.range else self.percent


@dataclass(frozen=True)
class Text:
    """A text with what the page shows in small print below it."""

    text: str
    place: str = ""
    note: str = ""
    verdict: bool = False
    """Whether it is a verdict, which the page colours."""
    lift: Interval | None = None
    """Shown before the text, which is its verdict; the column must have ``verdict``."""
    sort: float | None = None
    """What it is sorted by; the text unless given."""

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Listing:
    """Several texts in one cell."""

    lines: tuple[str, ...]
    summary: str = ""
    """What the page shows in their place until somebody opens them; they are always open without it."""
    separator: str = ", "

    def __str__(self) -> str:
        return self.separator.join(self.lines)


Cell = str | float | Interval | Share | Text | Listing
Plain = str | float
"""A cell of a file."""


@dataclass(frozen=True)
class Column:
    """A column: its heading, and the heading above it that it shares with its neighbours."""

    heading: str
    group: str = ""
    numeric: bool = True
    digits: int | None = None
    """Decimals; those of the table unless given."""
    key: bool = False
    """Whether it names the row."""
    main: bool = False
    """Whether the table is about it: bold, and sorted by it."""
    first_of_group: bool = False
    """Whether it has a line at its left."""
    wide: bool = False
    """Whether its texts are long."""
    code: bool = False
    """Whether its texts are code."""
    interval: bool = False
    """Whether it holds intervals: a file has a column for the mean and one for half the width."""
    verdict: bool = False
    """Whether it holds intervals with a verdict, which has a third column in a file."""
    file_heading: str = ""
    """What a file calls it; the group and the heading unless given."""

    @property
    def name(self) -> str:
        """What a file calls it."""
        if self.file_heading or not self.group:
            return self.file_heading or self.heading
        word = self.heading if self.heading.isupper() else self.heading.lower()  # H stays H
        return f"{self.group} {word}"

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that it has in a file."""
        suffixes = ("", " ±", " verdict") if self.verdict else ("", " ±") if self.interval else ("",)
        return tuple(self.name + suffix for suffix in suffixes)


@dataclass(frozen=True)
class Table:
    """Columns, and rows of as many cells. ``baselines`` are rows of the zero-shot method, which always come first."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    baselines: tuple[tuple[Cell, ...], ...] = ()
    caption: str = ""
    digits: int = 1
    file: str = ""
    """What its files are called; the title unless given."""
    style: str = ""
    """Classes of the page's style sheet."""
    group_titles: Mapping[str, str] = field(default_factory=dict)
    """What the page calls a group of columns, where that is longer than in files."""

    @property
    def groups(self) -> list[tuple[str, int]]:
        """(heading, number of columns) of the groups from left to right; empty if there are none."""
        if not any(column.group for column in self.columns):
            return []
        groups: list[tuple[str, int]] = []
        for column in self.columns:
            if groups and groups[-1][0] == column.group:
                groups[-1] = column.group, groups[-1][1] + 1
            else:
                groups.append((column.group, 1))
        return [(self.group_titles.get(name, name), count) for name, count in groups]

    def attributes(self, row: Sequence[Cell], baseline: bool = False) -> dict[str, str]:
        """The attributes by which the page's filters choose a row; several values of one are in lines. A baseline stays
        whatever method is chosen."""
        values = {}
        for column, cell in zip(self.columns, row, strict=True):
            name = ROW_ATTRIBUTES.get(column.heading, "")
            if name and not column.group and not (baseline and name == "method"):
                values[name] = "\n".join(cell.lines) if isinstance(cell, Listing) else str(cell)
        return values

    def digits_of(self, column: Column) -> int:
        return self.digits if column.digits is None else column.digits

    def header(self) -> list[str]:
        """Headings of a file."""
        return [name for column in self.columns for name in column.names]

    def decimals(self) -> list[int]:
        """Decimals of the columns of a file."""
        return [self.digits_of(column) for column in self.columns for _ in column.names]

    def body(self) -> list[list[Plain]]:
        """Rows of a file: texts and numbers."""
        return [[plain for pair in zip(self.columns, row, strict=True) for plain in _plain(*pair)] for row in self.all_rows]

    @property
    def all_rows(self) -> tuple[tuple[Cell, ...], ...]:
        return (*self.baselines, *self.rows)


def simple(title: str, headings: Sequence[str], rows: Sequence[Sequence[Plain]], digits: int = 1) -> Table:
    """A table of texts and numbers; a column is numeric if any of its cells is."""
    columns = tuple(
        Column(heading, numeric=any(isinstance(row[i], int | float) for row in rows)) for i, heading in enumerate(headings)
    )
    return Table(title, columns, tuple(tuple(row) for row in rows), digits=digits)


def _plain(column: Column, cell: Cell) -> Iterator[Plain]:
    """The cells of a file for a cell of the table, as many as ``column.names``."""
    interval = cell.lift if isinstance(cell, Text) else cell
    if isinstance(interval, Interval):
        yield interval.mean
        if column.interval or column.verdict:
            yield interval.half
    else:
        yield cell if isinstance(cell, int | float | str) else str(cell)
        if column.interval or column.verdict:
            yield NAN
    if column.verdict:
        yield str(cell) if isinstance(cell, Text) else ""
