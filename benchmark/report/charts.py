"""Heat map and slope chart of a pair."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from benchmark.config.files import slug
from benchmark.report.drawing import BLACK, PAGE, PAPER, SERIES, SOFT, mark, spread, styled, tidy, wrap
from benchmark.report.model import Figure, MethodRow, Scope
from benchmark.report.numbers import number, signed
from benchmark.report.table import NAN
from benchmark.report.table_prep import Configured, Prepared

MOST_NUMBERED = 30
"""Data sets of a heat map that has its numbers in the cells; with more, they are in the data of the figure only."""
COLOURS = "RdBu"
"""Of a heat map: red below zero, blue above."""
MOST_READ = 8
"""Data sets of a heat map whose values are in the words about a row."""
DEPTHS: dict[str, tuple[str, str, Any]] = {
    "shallow": (SERIES[0], "o", "-"),
    "deep": (SERIES[1], "s", "-"),
    "none": (SOFT, "^", "-"),
}
"""Colour, marker and line by where a method learns."""


def heat_map(
    prepared: Prepared,
    rows: Sequence[MethodRow],
    lifts_of: Mapping[Configured, Mapping[str, float]],
    view: Scope,
    name: str,
) -> Figure | None:
    """Lift in points, methods x data sets, mean over seeds; None where no cell has a value.

    ``rows`` are the headline rows of one pair, ``lifts_of`` comes from ``table_prep.lifts_by_dataset``, ``name`` is the name
    of the pair.
    """
    shown = [row for row in rows if not row.baseline]
    if not shown:
        return None
    results = prepared.results
    results = results[(results.pair == rows[0].pair) & (results.protocol == view.protocol)]
    datasets = list(dict.fromkeys(results.dataset))
    lifts = np.array([[lifts_of.get((r.pair, r.method, r.config), {}).get(d, NAN) for d in datasets] for r in shown])
    if not np.isfinite(lifts).any():
        return None
    words = [
        [_cell_word(results, row, dataset, lift) for dataset, lift in zip(datasets, line, strict=True)]
        for row, line in zip(shown, lifts, strict=True)
    ]
    caption = f"Lift in {view.word} of the reused module over zero-shot on the new backbone, in points, mean over seeds. "
    caption += "Blue: better than zero-shot. Red: worse. Hatched: no value, for the reason in the cell."
    return Figure(
        name=f"heat-map-{slug(name)}",
        canvas=_draw_heat_map(lifts, words, [row.label for row in shown], datasets, view),
        title=f"Lift by method and data set, {name}",
        caption=caption,
        columns=("Method", *datasets),
        data=tuple(
            (row.label, *(float(x) if math.isfinite(x) else word for x, word in zip(line, line_words, strict=True)))
            for row, line, line_words in zip(shown, lifts, words, strict=True)
        ),
    )


def _cell_word(results: pd.DataFrame, row: MethodRow, dataset: str, lift: float) -> str:
    """The text of a cell of the heat map: its lift, or why there is none."""
    if math.isfinite(lift):
        return signed(lift)
    cells = results[(results.method == row.method) & (results.config == row.config) & (results.dataset == dataset)]
    bad = cells[(cells.strategy == "reuse") & (cells.status != "ok")].status
    return str(bad.iloc[0]) if len(bad) else "n/a"


def _draw_heat_map(lifts: np.ndarray, words: list[list[str]], labels: list[str], headings: list[str], view: Scope) -> Canvas:
    """The map of ``lifts`` (methods, data sets)."""
    limit = max(1.0, float(np.nanpercentile(np.abs(lifts), 95)))
    with styled():
        canvas = Canvas(figsize=(2.2 + 0.85 * len(headings), 1.1 + 0.32 * len(labels)))
        axes = canvas.add_subplot()
        mesh = axes.pcolormesh(lifts, cmap=COLOURS, vmin=-limit, vmax=limit, edgecolors=PAGE, linewidth=1)
        for (y, x), lift in np.ndenumerate(lifts):
            if len(headings) <= MOST_NUMBERED or not math.isfinite(lift):
                _mark(axes, x, y, lift / limit, words[y][x])
        bar = canvas.colorbar(mesh, ax=axes, extend="both", pad=0.02, aspect=max(6, 3 * len(labels)))
        bar.set_label(f"lift in {view.word}, points")
        bar.outline.set_visible(False)
        axes.invert_yaxis()
        axes.spines[:].set_visible(False)
        axes.set_xticks(np.arange(len(headings)) + 0.5)
        axes.set_yticks(np.arange(len(labels)) + 0.5)
        axes.tick_params(length=0)
        axes.set_xticklabels([wrap(heading) for heading in headings], rotation=0 if len(headings) < 9 else 40)
        if len(headings) >= 9:
            for text in axes.get_xticklabels():
                text.set_horizontalalignment("right")
        axes.set_yticklabels(labels, rotation=0)
        for text in axes.get_yticklabels():
            mark(text, text.get_text(), "name")
        for place, label in enumerate(labels):
            frame = Rectangle((0, place), len(headings), 1, fill=False, alpha=0)
            mark(axes.add_patch(frame), label, "frame", _row_words(headings, words[place]))
        return canvas


def _row_words(headings: Sequence[str], words: Sequence[str]) -> str:
    """What a row of the heat map says."""
    rest = f", {len(headings) - MOST_READ} more" if len(headings) > MOST_READ else ""
    return ", ".join(f"{heading} {word}" for heading, word in list(zip(headings, words, strict=True))[:MOST_READ]) + rest


def _mark(axes: Axes, x: int, y: int, strength: float, word: str) -> None:
    """Write in a cell of the heat map; ``strength`` is its colour, -1 to 1, or NaN for a hatched cell."""
    if math.isfinite(strength):
        colour = _readable(colormaps[COLOURS]((strength + 1) / 2))
        axes.text(x + 0.5, y + 0.5, word, ha="center", va="center", fontsize=8.5, color=colour)
        return
    axes.add_patch(Rectangle((x, y), 1, 1, facecolor="#eef0f2", edgecolor="#b3bbc2", hatch="////", linewidth=0))
    box = {"facecolor": "#eef0f2", "edgecolor": "none", "pad": 1.5}
    axes.text(x + 0.5, y + 0.5, word, ha="center", va="center", fontsize=8, color=BLACK, bbox=box)


def _readable(colour: Sequence[float]) -> str:
    """Dark or light text, whichever has the higher contrast with a colour (WCAG 2, relative luminance)."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour[:3]]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return PAPER if (luminance + 0.05) ** 2 < 1.05 * 0.05 else BLACK


def slopes(rows: Sequence[MethodRow], view: Scope, old: str, new: str) -> Figure | None:
    """From the old to the reused accuracy, one line per method, zero-shot dashed; None where no method has both."""
    shown = [row for row in rows if math.isfinite(row.old.main) and math.isfinite(row.reuse.main)]
    if not shown:
        return None
    caption = f"Each line is one module: its {view.word} where it was trained ({old}), and the same module reused on {new}. "
    caption += "A module whose line ends below the dashed zero-shot line is worse than no module."
    return Figure(
        name=f"slopes-{slug(f'{old} {new}')}",
        canvas=_draw_slopes(shown, view, old, new),
        title=f"Old and reused {view.word}, {old} \N{RIGHTWARDS ARROW} {new}",
        caption=caption,
        columns=("Method", "Learns at", f"Old {view.word}", f"Reuse {view.word}"),
        data=tuple((row.label, "baseline" if row.baseline else row.depth, row.old.main, row.reuse.main) for row in shown),
    )


def _draw_slopes(rows: Sequence[MethodRow], view: Scope, old: str, new: str) -> Canvas:
    """The chart, with labels at the right, moved apart where they would overlap."""
    values = [value for row in rows for value in (row.old.main, row.reuse.main)]
    low, high = min(values), max(values)
    room = max(high - low, 4.0)
    height = max(3.2, 0.24 * len(rows) + 1.0)
    step = 0.21 * 1.12 * room / (height - 1.0)
    ends = sorted(rows, key=lambda row: row.reuse.main)
    places = spread([row.reuse.main for row in ends], step)
    with styled():
        canvas = Canvas(figsize=(9, height))
        axes = canvas.add_subplot()
        for row, place in zip(ends, places, strict=True):
            colour, marker, line = (SOFT, "D", "--") if row.baseline else DEPTHS.get(row.depth, DEPTHS["none"])
            weight = 2.2 if row.baseline else 1.5
            (slope,) = axes.plot([0, 1], [row.old.main, row.reuse.main], line, color=colour, marker=marker, ms=5, lw=weight)
            (leader,) = axes.plot([1.02, 1.08], [row.reuse.main, place], "-", color=colour, lw=0.6)
            name = f"{row.label}  {row.reuse.main:.1f}"
            text = axes.text(1.09, place, name, va="center", color=colour, fontsize=8.5)
            if not row.baseline:
                mark(slope, row.label, "slope")
                mark(leader, row.label, "leader")
                mark(text, row.label, "name", f"old {number(row.old.main)}, reused {number(row.reuse.main)}")
        axes.set_xlim(-0.06, 1.5)
        axes.set_ylim(min(low, *places) - 0.06 * room, max(high, *places) + 0.06 * room)
        axes.set_xticks([0, 1], [f"old\n(on {old})", f"reuse\n(on {new})"])
        axes.set_ylabel(f"{view.word}, %")
        tidy(axes, "y")
        axes.spines["bottom"].set_visible(False)
        axes.legend(
            handles=_legend(rows), loc="lower left", ncols=4, frameon=False, bbox_to_anchor=(0, 1), borderaxespad=0.2
        )
        return canvas


def _legend(rows: Sequence[MethodRow]) -> list[Line2D]:
    words = {"shallow": "learns at the text input (shallow)", "deep": "learns later (deep)", "none": "learns nothing"}
    depths = [
        Line2D([], [], color=colour, marker=marker, linestyle=line, label=words[depth], ms=5)
        for depth, (colour, marker, line) in DEPTHS.items()
        if any(not row.baseline and row.depth == depth for row in rows)
    ]
    baseline = [
        Line2D([], [], color=SOFT, marker="D", linestyle="--", label=row.label, ms=5) for row in rows if row.baseline
    ]
    return depths + baseline[:1]
