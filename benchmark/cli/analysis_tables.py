"""A finished analysis in the terminal: its most telling columns, at most some forty lines."""

from __future__ import annotations

import math
from collections.abc import Callable

import pandas as pd
from rich.markup import escape
from rich.table import Table


def summary(name: str, table: pd.DataFrame) -> Table:
    """The table to print."""
    return _MAKERS[name](table)


def _drift(table: pd.DataFrame) -> Table:
    wide = table.pivot_table(index=["tower", "order", "stage", "metric"], columns="pair", values="value", sort=True)
    shown = _table("drift", ("tower", "stage", "metric"), list(wide.columns))
    for keys, row in wide.iterrows():
        tower, _, stage, metric = _texts(keys)
        shown.add_row(tower, stage, metric, *(_number(value, 2) for value in row))
    return shown


def _depth(table: pd.DataFrame) -> Table:
    wide = table.pivot_table(index=["title", "order", "place"], columns="pair", values="change", sort=True)
    shown = _table("change of lift in H from old to new, points", ("method", "learns at"), list(wide.columns))
    for keys, row in wide.iterrows():
        title, _, place = _texts(keys)
        shown.add_row(title, place, *(_number(value) for value in row))
    return shown


def _snapshots(table: pd.DataFrame) -> Table:
    figures = table.groupby(["way", "step"])[["text_change", "text_cka", "image_cka", "zs_new", "lift"]].mean()
    names = ["text change", "text CKA", "image CKA", "zero-shot H", "mean lift"]
    shown = _table("drift and lift along the way", ("way", "step"), names)
    for step, row in figures.iterrows():
        digits = (2, 2, 2, 1, 1)
        shown.add_row(*_texts(step), *(_number(value, n) for value, n in zip(row, digits, strict=True)))
    return shown


def _repair(table: pd.DataFrame) -> Table:
    order = list(dict.fromkeys(table.label))
    wide = table.pivot_table(index="label", columns="pair", values="over_reuse", aggfunc="mean").reindex(order)
    shown = _table("H over plain reuse, points, mean over the methods that have both", ("strategy",), list(wide.columns))
    for label, row in wide.iterrows():
        shown.add_row(escape(str(label)), *(_number(value) for value in row))
    return shown


def _break_even(table: pd.DataFrame) -> Table:
    wide = table.pivot_table(index=["budget", "amount"], columns="pair", values="over_reuse", aggfunc="mean", sort=True)
    shown = _table("H of retraining less reuse, points, mean over methods", ("budget", "amount"), list(wide.columns))
    for keys, row in wide.iterrows():
        shown.add_row(*_texts(keys), *(_number(value) for value in row))
    return shown


def _table(title: str, texts: tuple[str, ...], numbers: list[str]) -> Table:
    shown = Table(title=title, title_justify="left", title_style="")
    for name in texts:
        shown.add_column(name)
    for name in numbers:
        shown.add_column(escape(str(name)), justify="right")
    return shown


def _texts(keys: object) -> list[str]:
    """The parts of a row's name, fit for a table."""
    return [escape(str(part)) for part in keys] if isinstance(keys, tuple) else [escape(str(keys))]


def _number(value: float, digits: int = 1) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else "-"


_MAKERS: dict[str, Callable[[pd.DataFrame], Table]] = {
    "drift": _drift,
    "depth": _depth,
    "snapshots": _snapshots,
    "repair": _repair,
    "break-even": _break_even,
}
