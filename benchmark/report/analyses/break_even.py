"""How much retraining equals reuse."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from benchmark.report.analysis_view import View
from benchmark.report.drawing import (
    AXIS,
    INK,
    SOFT,
    colour,
    marker,
    styled,
    tidy,
)
from benchmark.report.model import Figure
from benchmark.report.numbers import arrow, plural
from benchmark.report.table import Plain, Table, simple

NOTHING, NO_STEPS = "0", "takes no steps"


class BreakEvenView(View):
    """How much retraining equals reuse."""

    analysis = "break-even"

    def sentences(self, table: pd.DataFrame) -> Sequence[str]:
        sentences, rows = [], _rows(table)
        for pair in dict.fromkeys(row[0] for row in rows):
            steps = [str(row[5]) for row in rows if row[0] == pair and row[5] != NO_STEPS]
            never = sum(text.startswith("more than") for text in steps)
            none = sum(text == NOTHING for text in steps)
            sentences.append(
                f"{pair}: of {plural(len(steps), 'method')} with gradient steps, {none} {'is' if none == 1 else 'are'} no "
                f"better than zero-shot when reused (break-even at 0), and for {never} even full retraining does not reach "
                "reuse."
            )
        return sentences

    def figures(self, table: pd.DataFrame) -> Sequence[Figure | None]:
        return (budget_figure(table),)

    def tables(self, table: pd.DataFrame) -> Sequence[Table]:
        columns = (
            "Upgrade",
            "Method",
            "Zero-shot new",
            "Reuse",
            "Retrain",
            "Steps that equal reuse",
            "Shots that equal reuse",
        )
        return (simple("Break-even", columns, _rows(table)),)


def _rows(table: pd.DataFrame) -> list[tuple[Plain, ...]]:
    """Per upgrade and method: zero-shot, reuse, retraining, and the budgets that equal reuse."""
    rows: list[tuple[Plain, ...]] = []
    for (pair, method), part in table.groupby(["pair", "method"], sort=False):
        budgets = [break_even(part[part.budget == budget]) for budget in ("steps", "shots")]
        reuse, zero = float(part.reuse.iloc[0]), float(part.zs_new.iloc[0])
        whole = part[part.full.astype(str) == "True"].accuracy
        retrained = float(whole.iloc[0]) if len(whole) else math.nan
        rows.append((arrow(pair), str(method), zero, reuse, retrained, *budgets))
    return rows


def break_even(curve: pd.DataFrame) -> str:
    """The smallest budget at which retraining is as good as reuse, and the range that the intervals allow.

    ``curve`` has a method's points of one budget on one pair; amount 0 is zero-shot. The mean is interpolated linearly
    between points.
    """
    points = curve.sort_values("amount")
    points = points[points.over_reuse.notna()]
    if points.empty:
        return NO_STEPS if curve.empty else "no value"
    amounts, gaps = points.amount.to_numpy(float), points.over_reuse.to_numpy(float)
    crossed = next((i for i, gap in enumerate(gaps) if gap >= 0), None)
    if crossed is None:
        text = f"more than {amounts[-1]:.0f}"
    elif crossed == 0:
        text = NOTHING
    else:
        a, b = amounts[crossed - 1 : crossed + 1]
        text = f"{a + (b - a) * -gaps[crossed - 1] / (gaps[crossed] - gaps[crossed - 1]):.0f}"
    below = [a for a, high in zip(amounts, points.over_reuse_high, strict=True) if high < 0]
    above = [a for a, low in zip(amounts, points.over_reuse_low, strict=True) if low > 0]
    if text == NOTHING or not (below or above):
        return text
    low, high = (f"{max(below):.0f}" if below else "0"), (f"{min(above):.0f}" if above else "beyond")
    return f"{text} ({low} to {high})"


def budget_figure(table: pd.DataFrame) -> Figure | None:
    """Retraining minus reuse over steps and over shots: methods thin, their mean bold; None without values."""
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
                axes.set_ylabel("H minus reuse, points" if column == 0 else "")
                if column == 0:
                    axes.set_title(arrow(pair), fontsize=9.5, loc="left", color=INK)
        canvas.subplots_adjust(hspace=0.35)
    caption = (
        "Retraining on the new backbone minus plain reuse: above 0, retraining is better. 0 steps or shots is zero-shot. "
    )
    caption += "Thin: methods. Thick: mean over the methods that have the point."
    columns = ("Upgrade", "Method", "Budget", "Amount", "Minus reuse")
    data = tuple(
        (arrow(r["pair"]), str(r["method"]), str(r["budget"]), f"{r['amount']:.0f}", float(r["over_reuse"]))
        for r in shown.to_dict("records")
    )
    return Figure("budget", canvas, "Retraining and reuse by budget", caption, columns, data)


def _budget(axes: Axes, part: pd.DataFrame, number: int) -> None:
    axes.axhline(0, color=AXIS, lw=1.2)
    axes.set_xscale("symlog", linthresh=1)
    for _, line in part.groupby("method", sort=False):
        line = line.sort_values("amount")
        axes.plot(line.amount, line.over_reuse, color=SOFT, lw=0.6, alpha=0.45)
    counts = part.groupby("amount").method.nunique()
    means = part.groupby("amount").over_reuse.mean()[counts >= 0.4 * max(counts, default=0)]
    axes.plot(means.index, means.to_numpy(), color=colour(number), marker=marker(number), ms=5, lw=2)
    ticks: Sequence[float] = sorted(float(amount) for amount in means.index)
    axes.set_xticks(ticks, [f"{tick:.0f}" for tick in ticks])
    axes.minorticks_off()
    tidy(axes, "y")
