"""Figures of the analyses: drift over the stages of a tower, lift over depth, along snapshots, over cost and over budget."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from benchmark.report.drawing import AXIS, INK, MARKERS, SERIES, SOFT, styled, tidy
from benchmark.report.model import Cell, Figure

WORDS = {"cka": ("Likeness of features (CKA)", "linear CKA"), "change": ("Change of parameters", "|W' − W| / |W|")}


def drift(table: pd.DataFrame, metric: str) -> Figure | None:
    """A curve for each pair over the stages of the text tower and of the image tower; None without values."""
    shown = table[(table.metric == metric) & (table.order >= 0) & table.value.notna()]
    if shown.empty:
        return None
    pairs = list(dict.fromkeys(shown.pair))
    title, label = WORDS[metric]
    with styled():
        canvas = Canvas(figsize=(9, 3.4))
        for place, (tower, word) in enumerate((("text", "text tower"), ("vision", "image tower"))):
            axes = canvas.add_subplot(1, 2, place + 1)
            mine = shown[shown.tower == tower]
            stages = mine.drop_duplicates("order").sort_values("order")
            for number, pair in enumerate(pairs):
                line = mine[mine.pair == pair].sort_values("order")
                axes.plot(line.order, line.value, color=_colour(number), marker=_marker(number), ms=5, label=_arrow(pair))
            axes.set_xticks(stages.order, [str(stage).replace("block ", "") for stage in stages.stage])
            axes.set_xlabel(f"{word}: input, blocks, output")
            axes.set_ylabel(label if place == 0 else "")
            if metric == "cka":
                axes.set_ylim(min(0, float(shown.value.min())) - 0.03, 1.03)
            else:
                axes.set_ylim(0, None)
            tidy(axes, "y")
        _legend(canvas)
    caption = (
        "1: the same features up to rotation and scale. 0: unrelated. Features of the task's class prompts and test images."
    )
    if metric == "change":
        caption = (
            "How far the weights moved, in lengths of their own; only where names and shapes agree. Unrelated weights of "
        )
        caption += "equal size are about 1.4 apart."
    data = tuple((_arrow(r["pair"]), r["tower"], r["stage"], float(r["value"])) for r in shown.to_dict("records"))
    return Figure(f"drift-{metric}", canvas, title, caption, ("Upgrade", "Tower", "Stage", label), data)


def depth(table: pd.DataFrame) -> Figure | None:
    """What the upgrade did to lift against the place where a module learns: a panel for each method, a curve for each pair;
    None without figures."""
    shown = table[table.change.notna()]
    if shown.empty:
        return None
    titles, pairs = list(dict.fromkeys(shown.title)), list(dict.fromkeys(table.pair))
    with styled():
        canvas = Canvas(figsize=(9, 2.9 * -(-len(titles) // 3) + 0.3))
        first: Axes | None = None
        for place, title in enumerate(titles):
            axes = canvas.add_subplot(-(-len(titles) // 3), min(3, len(titles)), place + 1, sharey=first)
            first = first or axes
            mine = shown[shown.title == title]
            axes.axhline(0, color=AXIS, lw=1.2)
            for number, pair in enumerate(pairs):
                line = mine[mine.pair == pair].sort_values("order")
                x = line.order + 0.08 * (number - (len(pairs) - 1) / 2)
                error = np.vstack([line.change - line.change_low, line.change_high - line.change])
                axes.errorbar(
                    x, line.change, error, color=_colour(number), marker=_marker(number), ms=5, lw=1.4, elinewidth=0.8
                )
                axes.lines[-1].set_label(_arrow(pair))
            places = mine.drop_duplicates("order").sort_values("order")
            words = [str(word).split()[-1] for word in places.place]
            axes.set_xticks(places.order, words)
            kind = str(places.place.iloc[0]).rpartition(" ")[0]
            axes.set_xlabel(kind)
            axes.set_title(str(title), fontsize=9.5, loc="left", color=INK)
            axes.set_ylabel("change of lift, points" if place % 3 == 0 else "")
            tidy(axes, "y")
        canvas.subplots_adjust(hspace=0.55)
        _legend(canvas)
    caption = "The same module learnt at one place after another on the old backbone, and reused on the new one: its lift "
    caption += (
        "there less its lift on the old backbone, with 95 % intervals, each by itself. A line that falls to the right "
    )
    caption += "loses more the deeper it learns."
    columns = ("Upgrade", "Method", "Place", "Change of lift", "Low", "High")
    names = ("change", "change_low", "change_high")
    data: list[tuple[Cell, ...]] = [
        (_arrow(r["pair"]), str(r["title"]), str(r["place"]), *(float(r[name]) for name in names))
        for r in shown.to_dict("records")
    ]
    return Figure("lift-by-depth", canvas, "What an upgrade takes from a module, by depth", caption, columns, tuple(data))


def snapshots(table: pd.DataFrame) -> Figure | None:
    """Lift against drift of the text features along each way: every method thin, their mean bold; None without lifts."""
    shown = table[table.lift.notna()]
    if shown.empty:
        return None
    ways = list(dict.fromkeys(shown.way))
    with styled():
        canvas = Canvas(figsize=(9, 3.6))
        first: Axes | None = None
        for place, way in enumerate(ways):
            axes = canvas.add_subplot(1, len(ways), place + 1, sharey=first)
            first = first or axes
            mine = shown[shown.way == way]
            axes.axhline(0, color=AXIS, lw=1.2)
            for _, line in mine.groupby("title", sort=False):
                line = line.sort_values("step")
                axes.plot(1 - line.text_cka, line.lift, color=SOFT, lw=0.6, alpha=0.45)
            means = mine.groupby("step")[["text_cka", "lift"]].mean()
            axes.plot(1 - means.text_cka, means.lift, color=_colour(place), marker=_marker(place), ms=6, lw=2)
            for step, row in means.iterrows():
                place_of = (1 - float(row.text_cka), float(row.lift))
                axes.annotate(str(step), place_of, (4, 5), textcoords="offset points", fontsize=7.5)
            axes.set_title(f"on the way to {way}", fontsize=9.5, loc="left", color=INK)
            axes.set_xlabel("drift of text features (1 − CKA)")
            axes.set_ylabel("lift in H, points" if place == 0 else "")
            tidy(axes, "both")
    caption = (
        "Each thin line is one module of the old backbone, reused at snapshots of the new one's training; the thick line is "
    )
    caption += "their mean, the numbers are training steps."
    columns = ("Way to", "Step", "Method", "Drift", "Lift")
    data = tuple(
        (str(r["way"]), str(r["step"]), str(r["title"]), 1 - float(r["text_cka"]), float(r["lift"]))
        for r in shown.to_dict("records")
    )
    return Figure("lift-along-the-way", canvas, "Lift and drift along the way", caption, columns, data)


def break_even(table: pd.DataFrame) -> Figure | None:
    """Retraining less reuse over steps and over shots: each method thin, the mean of all bold; None without figures."""
    shown = table[table.over_reuse.notna()]
    if shown.empty:
        return None
    pairs = list(dict.fromkeys(shown.pair))
    with styled():
        canvas = Canvas(figsize=(9, 2.6 * len(pairs)))
        for row, pair in enumerate(pairs):
            for column, budget in enumerate(("steps", "shots")):
                axes = canvas.add_subplot(len(pairs), 2, 2 * row + column + 1)
                _budget(axes, shown[(shown.pair == pair) & (shown.budget == budget)], row)
                axes.set_xlabel(f"{budget} of retraining" if row == len(pairs) - 1 else "")
                axes.set_ylabel("H over reuse, points" if column == 0 else "")
                if column == 0:
                    axes.set_title(_arrow(pair), fontsize=9.5, loc="left", color=INK)
        canvas.subplots_adjust(hspace=0.35)
    caption = (
        "Retraining on the new backbone less plain reuse: above 0, retraining is better. 0 steps or shots are zero-shot. "
    )
    caption += "Thin: methods. Thick: mean over the methods that have the point."
    columns = ("Upgrade", "Method", "Budget", "Amount", "Over reuse")
    data = tuple(
        (_arrow(r["pair"]), str(r["title"]), str(r["budget"]), f"{r['amount']:.0f}", float(r["over_reuse"]))
        for r in shown.to_dict("records")
    )
    return Figure("budget", canvas, "Retraining and reuse by budget", caption, columns, data)


def _budget(axes: Axes, part: pd.DataFrame, number: int) -> None:
    axes.axhline(0, color=AXIS, lw=1.2)
    axes.set_xscale("symlog", linthresh=1)
    for _, line in part.groupby("title", sort=False):
        line = line.sort_values("amount")
        axes.plot(line.amount, line.over_reuse, color=SOFT, lw=0.6, alpha=0.45)
    counts = part.groupby("amount").title.nunique()
    means = part.groupby("amount").over_reuse.mean()[counts >= 0.4 * max(counts, default=0)]
    axes.plot(means.index, means.to_numpy(), color=_colour(number), marker=_marker(number), ms=5, lw=2)
    ticks: Sequence[float] = sorted(float(amount) for amount in means.index)
    axes.set_xticks(ticks, [f"{tick:.0f}" for tick in ticks])
    axes.minorticks_off()
    tidy(axes, "y")


def _legend(canvas: Canvas) -> None:
    handles, labels = canvas.axes[0].get_legend_handles_labels()
    known = dict(zip(labels, handles, strict=True))
    canvas.legend(
        known.values(), known.keys(), loc="lower left", bbox_to_anchor=(0.06, 0.93), ncols=len(known), frameon=False
    )


def _colour(number: int) -> str:
    return SERIES[number % len(SERIES)]


def _marker(number: int) -> str:
    return MARKERS[number % len(MARKERS)]


def _arrow(pair: object) -> str:
    return str(pair).replace("->", " \N{RIGHTWARDS ARROW} ")
