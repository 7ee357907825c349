"""The main figure of an upgrade: the lift of every method with the interval that decides its verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from benchmark.config.files import slug
from benchmark.report.drawing import AXIS, MID, SOFT, mark, styled, tidy
from benchmark.report.model import Figure, MethodRow, Scope
from benchmark.report.numbers import signed
from benchmark.report.scatter import VERDICTS, verdict_handles, verdict_words
from benchmark.report.table import NAN

WAYS = {"old": ("<", "on the old backbone"), "retrain": ("D", "retrained on the new one")}
"""Marker and name of what else could be done with a method."""


def forest(rows: Sequence[MethodRow], view: Scope, name: str) -> Figure | None:
    """Lift and interval of every method, the best at the top; None where no method has a lift.

    Args:
        rows: Of one upgrade, the best first.
        view: What the rows are about.
        name: Of the upgrade.
    """
    shown = [row for row in rows if not row.baseline and math.isfinite(row.lift.mean)]
    if not shown:
        return None
    with styled():
        canvas = Canvas(figsize=(6.2, 1.2 + 0.24 * len(shown)))
        axes = canvas.add_subplot()
        axes.axvline(0, color=AXIS, lw=1.2)
        for place, row in enumerate(shown):
            _draw(axes, place, row)
        tidy(axes, "x")
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.set_yticks(range(len(shown)), [row.label for row in shown])
        for text in axes.get_yticklabels():
            mark(text, text.get_text(), "name")
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(f"points of {view.word} over the new backbone without a module")
        _frames(axes, shown)
        _legend(axes, shown)
    caption = (
        "Filled: the reused module, with the interval that decides its verdict; all intervals hold at the same time. "
        "Hollow: the same method on the old backbone, and retrained on the new one."
    )
    columns = ("Method", "Lift", "Low", "High", "Verdict", "Old minus zero-shot", "Retrain minus zero-shot")
    data = tuple((row.label, row.lift.mean, row.lift.low, row.lift.high, row.verdict, *_others(row)) for row in shown)
    return Figure(f"forest-{slug(name)}", canvas, f"Lift of every method, {name}", caption, columns, data)


def _draw(axes: Axes, place: int, row: MethodRow) -> None:
    colour, marker = VERDICTS.get(row.verdict, (MID, "o"))
    if row.lift.known:
        (line,) = axes.plot((row.lift.low, row.lift.high), (place, place), color=colour, lw=1.6, solid_capstyle="butt")
        mark(line, row.label, "interval")
    (dot,) = axes.plot(row.lift.mean, place, marker, color=colour, ms=6, mew=0)
    mark(dot, row.label, "point", _value(row))
    for (way, (shape, _)), value in zip(WAYS.items(), _others(row), strict=True):
        if math.isfinite(value):
            (hollow,) = axes.plot(value, place, shape, color=SOFT, mfc="none", ms=4, mew=0.9)
            mark(hollow, row.label, way)


def _value(row: MethodRow) -> str:
    """What a row of the figure says, in words."""
    parts = [f"{way} {signed(value)}" for way, value in zip(WAYS, _others(row), strict=True) if math.isfinite(value)]
    return ", ".join([verdict_words(row), *parts])


def _others(row: MethodRow) -> tuple[float, float]:
    """The same method on the old backbone and retrained, over zero-shot on the new one."""
    if not math.isfinite(row.zs_new):
        return NAN, NAN
    return row.old.main - row.zs_new, row.retrain - row.zs_new


def _frames(axes: Axes, shown: Sequence[MethodRow]) -> None:
    """A frame around each row, which the page shows while its method is chosen."""
    low, high = axes.get_xlim()
    for place, row in enumerate(shown):
        frame = Rectangle((low, place - 0.5), high - low, 1, fill=False, alpha=0)
        mark(axes.add_patch(frame), row.label, "frame")
    axes.set_xlim(low, high)


def _legend(axes: Axes, shown: Sequence[MethodRow]) -> None:
    handles = verdict_handles(shown)
    handles += [
        Line2D([], [], color=SOFT, marker=shape, mfc="none", ms=4, ls="", label=text) for shape, text in WAYS.values()
    ]
    axes.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(-0.3, 1), ncols=4, frameon=False, borderaxespad=0.2, fontsize=8
    )
