"""What an upgrade does to a module, by the depth at which it learns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from benchmark.report.analysis_view import View, range_of
from benchmark.report.drawing import (
    AXIS,
    INK,
    colour,
    legend_above,
    marker,
    styled,
    tidy,
)
from benchmark.report.model import Figure
from benchmark.report.numbers import arrow, listing, signed
from benchmark.report.table import Plain, Table, simple


class DepthView(View):
    """What an upgrade does to a module, by the depth at which it learns."""

    analysis = "depth"

    def sentences(self, table: pd.DataFrame) -> Sequence[str]:
        sentences = []
        for method, rows in table[table.status == "ok"].groupby("method", sort=False):
            ends = {arrow(pair): _ends(part.sort_values("order")) for pair, part in rows.groupby("pair", sort=False)}
            words = [f"{pair} {signed(first)} to {signed(last)}" for pair, (first, last) in ends.items()]
            sentences.append(
                f"{method}: lift on the new backbone minus lift on the old one, shallowest to deepest: {listing(words)}."
            )
        return sentences

    def figures(self, table: pd.DataFrame) -> Sequence[Figure | None]:
        return (depth_figure(table),)

    def tables(self, table: pd.DataFrame) -> Sequence[Table]:
        columns: tuple[str, ...] = ("Upgrade", "Method", "Place", "Old", "Zero-shot old", "Reuse", "Zero-shot new", "Lift")
        columns = (*columns, "Change of lift", "Interval")
        rows = tuple(
            (
                arrow(row["pair"]),
                str(row["method"]),
                str(row["place"]),
                *(row[name] for name in ("old", "zs_old", "reuse", "zs_new", "lift", "change")),
                range_of(row["change_low"], row["change_high"]),
            )
            for row in table.to_dict("records")
        )
        return (simple("Depth", columns, rows),)


def _ends(part: pd.DataFrame) -> tuple[float, float]:
    return float(part.change.iloc[0]), float(part.change.iloc[-1])


def depth_figure(table: pd.DataFrame) -> Figure | None:
    """What the upgrade did to lift against the place where a module learns: a panel for each method, a curve for each pair;
    None without values."""
    shown = table[table.change.notna()]
    if shown.empty:
        return None
    methods, pairs = list(dict.fromkeys(shown.method)), list(dict.fromkeys(table.pair))
    with styled():
        canvas = Canvas(figsize=(9, 2.9 * -(-len(methods) // 3) + 0.3))
        first: Axes | None = None
        for place, method in enumerate(methods):
            axes = canvas.add_subplot(-(-len(methods) // 3), min(3, len(methods)), place + 1, sharey=first)
            first = first or axes
            rows = shown[shown.method == method]
            axes.axhline(0, color=AXIS, lw=1.2)
            for number, pair in enumerate(pairs):
                line = rows[rows.pair == pair].sort_values("order")
                x = line.order + 0.08 * (number - (len(pairs) - 1) / 2)
                error = np.vstack([line.change - line.change_low, line.change_high - line.change])
                axes.errorbar(
                    x, line.change, error, color=colour(number), marker=marker(number), ms=5, lw=1.4, elinewidth=0.8
                )
                axes.lines[-1].set_label(arrow(pair))
            places = rows.drop_duplicates("order").sort_values("order")
            words = [str(word).split()[-1] for word in places.place]
            axes.set_xticks(places.order, words)
            kind = str(places.place.iloc[0]).rpartition(" ")[0]
            axes.set_xlabel(kind)
            axes.set_title(str(method), fontsize=9.5, loc="left", color=INK)
            axes.set_ylabel("change of lift, points" if place % 3 == 0 else "")
            tidy(axes, "y")
        canvas.subplots_adjust(hspace=0.55)
        legend_above(canvas)
    caption = (
        "The same method placed at one depth after another, trained on the old backbone and reused on the new one: lift on "
        "the new backbone minus lift on the old one, with 95 % intervals that are not corrected for their number. A line "
        "that falls to the right loses more the deeper the module is."
    )
    columns = ("Upgrade", "Method", "Place", "Change of lift", "Low", "High")
    names = ("change", "change_low", "change_high")
    data: list[tuple[Plain, ...]] = [
        (arrow(r["pair"]), str(r["method"]), str(r["place"]), *(float(r[name]) for name in names))
        for r in shown.to_dict("records")
    ]
    return Figure("lift-by-depth", canvas, "What an upgrade takes from a module, by depth", caption, columns, tuple(data))
