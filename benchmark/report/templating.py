"""Style sheets, scripts and templates of the pages."""

from __future__ import annotations

import math
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from benchmark.report import numbers
from benchmark.report.table import Cell, Column, Interval, Listing, Share, Text

HERE = Path(__file__).parent


def text(name: str) -> str:
    """A style sheet or script."""
    return (HERE / "assets" / name).read_text(encoding="utf-8")


def environment() -> Environment:
    """Where templates are found, and the filters that they use."""
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        num=numbers.number,
        signed=numbers.signed,
        count=numbers.count,
        duration=numbers.duration,
        plural=numbers.plural,
        weblink=weblink,
        kind=_kind,
        sortable=_sortable,
        classes=_classes,
    )
    return environment


def weblink(text: object) -> bool:
    """True if ``text`` is an address that may stand in a link."""
    return isinstance(text, str) and text.startswith(("https://", "http://")) and not any(c.isspace() for c in text)


def _kind(cell: Cell) -> str:
    """How the page shows a cell."""
    kinds: dict[type, str] = {Interval: "interval", Share: "share", Text: "text", Listing: "listing", str: "string"}
    return kinds.get(type(cell), "number")


def _sortable(cell: Cell) -> str:
    """The sort key of a cell; empty if it has no value."""
    if isinstance(cell, Interval):
        value: object = cell.mean
    elif isinstance(cell, Share):
        value = cell.ratio.mean
    else:
        value = str(cell) if isinstance(cell, Listing) else cell
        value = (cell.text if cell.sort is None else cell.sort) if isinstance(cell, Text) else cell
    return "" if isinstance(value, float) and not math.isfinite(value) else str(value)


def _classes(column: Column) -> str:
    """Classes of a column's cells in the style sheet."""
    flags = {"n": column.numeric, "left": column.first_of_group, "main": column.main, "wide": column.wide}
    return " ".join(name for name, flag in flags.items() if flag)
