"""What repairs bring and cost: one panel for each upgrade, with the front of those that nothing beats in both."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from benchmark.report.drawing import AXIS, GOOD, INK, MID, SOFT, front, label_right, log_axis, styled, tidy
from benchmark.report.model import Cell, Figure

FEW = 3
"""Least methods that a mean is shown of."""


def figures(table: pd.DataFrame) -> tuple[Figure, ...]:
    """One figure of the strategies that most methods allow; one more for each other strategy, of the methods that allow it.

    ``table`` has the rows with figures of the analysis "repair".
    """
    counts = table.groupby("strategy", sort=False).title.nunique()
    common = set(counts[counts >= 0.5 * counts.max()].index)
    found = [_figure(_of(table, common), "repair-cost", "What a repair brings and costs")]
    for strategy in counts[(counts < 0.5 * counts.max()) & (counts >= FEW)].index:
        label = str(table[table.strategy == strategy].label.iloc[0])
        title = f"The same for the methods that allow {label}"
        found.append(_figure(_of(table, common | {strategy}), f"repair-cost-{strategy}", title))
    return tuple(figure for figure in found if figure)


def _of(table: pd.DataFrame, strategies: set[str]) -> pd.DataFrame:
    """Rows of some strategies, of the methods that allow all of them; pair by pair."""
    found = []
    for _, part in table[table.strategy.isin(strategies) & table.lift.notna()].groupby("pair", sort=False):
        count = part.groupby("title").strategy.nunique()
        found.append(part[part.title.isin(count[count == len(strategies)].index)])
    return pd.concat(found) if found else table.iloc[:0]


def _figure(table: pd.DataFrame, name: str, title: str) -> Figure | None:
    if table.empty:
        return None
    pairs = list(dict.fromkeys(table.pair))
    means = table.groupby(["pair", "label"], sort=False)[["seconds", "images", "lift"]].mean()
    floor = 0.5 * float(means.seconds[means.seconds > 0].min()) if (means.seconds > 0).any() else 0.01
    data: list[tuple[Cell, ...]] = []
    lines = -(-len(pairs) // 2)
    with styled():
        canvas = Canvas(figsize=(9.2, 2.9 * lines))
        canvas.subplots_adjust(hspace=0.55, wspace=0.85)
        for place, pair in enumerate(pairs):
            axes = canvas.add_subplot(lines, min(2, len(pairs)), place + 1)
            found = means.loc[pair]
            points = [(max(float(row.seconds), floor), float(row.lift)) for _, row in found.iterrows()]
            best = front(points)
            _panel(axes, points, [str(label) for label in found.index], best)
            axes.set_title(_arrow(pair), fontsize=9.5, loc="left", color=INK)
            axes.set_ylabel("H over zero-shot, points" if place % 2 == 0 else "")
            for i, (label, row) in enumerate(found.iterrows()):
                on = "yes" if i in best else ""
                data.append((_arrow(pair), str(label), float(row.seconds), float(row.images), float(row.lift), on))
    counts = table.groupby("pair", sort=False).title.nunique()
    many = f"{counts.min()}" if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"
    caption = (
        f"Means over the {many} methods that allow all strategies shown. The dotted line joins those that no other beats "
    )
    caption += "in both; reuse costs nothing and stands at the left."
    columns = ("Upgrade", "Strategy", "Seconds", "Images", "Over zero-shot", "On the front")
    return Figure(name, canvas, title, caption, columns, tuple(data))


def _panel(axes: Axes, points: list[tuple[float, float]], labels: list[str], best: list[int]) -> None:
    log_axis(axes)
    axes.axhline(0, color=AXIS, lw=1.2)
    line = [points[i] for i in best]
    axes.step([x for x, _ in line], [y for _, y in line], where="post", color=MID, lw=1.2, ls=":")
    colours = [GOOD if i in best else SOFT for i in range(len(points))]
    for point, colour in zip(points, colours, strict=True):
        axes.plot(*point, "o", color=colour, ms=6)
    tidy(axes, "both")
    axes.set_xlabel("seconds of work on the new backbone")
    label_right(axes, points, labels, colours, size=7.5)


def _arrow(pair: object) -> str:
    return str(pair).replace("->", " \N{RIGHTWARDS ARROW} ")
