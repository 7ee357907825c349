"""Lift and drift on the way to a new backbone."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from scipy import stats

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
from benchmark.report.numbers import number, plural
from benchmark.report.table import Table, simple


class CheckpointsView(View):
    """Lift and drift on the way to a new backbone."""

    analysis = "checkpoints"

    def sentences(self, table: pd.DataFrame) -> Sequence[str]:
        means = table[table.status == "ok"].groupby(["way", "step"]).mean(numeric_only=True).reset_index()
        sentences = []
        for way, part in means.groupby("way", sort=False):
            drifts = (1 - part.text_cka, part.text_change, 1 - part.relatedness)
            correlations = (rank_correlation(drift, part.lift) for drift in drifts)
            texts = [f"{number(rho, 2)} [{number(low, 2)}, {number(high, 2)}]" for rho, low, high in correlations]
            sentences.append(
                f"On the way to {way}, over {plural(len(part), 'checkpoint')}: rank correlation of mean lift with the drift "
                f"of text features (1 − CKA) {texts[0]}, with the change of the text tower's parameters {texts[1]}, "
                f"with 1 − relatedness {texts[2]}."
            )
        sentences.append(
            "The intervals treat checkpoints as independent. Checkpoints of one training run are not, so the intervals are "
            "too narrow, and the values describe these training runs rather than upgrades in general."
        )
        return sentences

    def figures(self, table: pd.DataFrame) -> Sequence[Figure | None]:
        return (checkpoints_figure(table),)

    def tables(self, table: pd.DataFrame) -> Sequence[Table]:
        means = table[table.status == "ok"].groupby(["way", "step"]).mean(numeric_only=True).reset_index()
        columns = (
            "Way to",
            "Step",
            "Text parameters moved",
            "Text CKA",
            "Image CKA",
            "Relatedness",
            "Zero-shot H",
            "Mean lift",
        )
        shown = ("text_change", "text_cka", "image_cka", "relatedness", "zs_new", "lift")
        rows = tuple((str(r["way"]), str(r["step"]), *(r[name] for name in shown)) for r in means.to_dict("records"))
        return (simple("Checkpoints, means over methods", columns, rows, digits=2),)


def rank_correlation(x: pd.Series[float], y: pd.Series[float]) -> tuple[float, float, float]:
    """Spearman's rho with a 95 % interval (Fisher's z with the variance of Bonett and Wright 2000, 1 + rho^2 / 2)."""
    known = np.isfinite(x.to_numpy()) & np.isfinite(y.to_numpy())
    if known.sum() < 4:
        return math.nan, math.nan, math.nan
    rho = float(stats.spearmanr(x.to_numpy()[known], y.to_numpy()[known]).statistic)
    if not math.isfinite(rho) or abs(rho) >= 1:
        return rho, rho, rho
    half = float(stats.norm.ppf(0.975)) * math.sqrt((1 + rho**2 / 2) / (known.sum() - 3))
    return rho, math.tanh(math.atanh(rho) - half), math.tanh(math.atanh(rho) + half)


def checkpoints_figure(table: pd.DataFrame) -> Figure | None:
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
            part = shown[shown.way == way]
            axes.axhline(0, color=AXIS, lw=1.2)
            for _, line in part.groupby("method", sort=False):
                line = line.sort_values("step")
                axes.plot(1 - line.text_cka, line.lift, color=SOFT, lw=0.6, alpha=0.45)
            means = part.groupby("step")[["text_cka", "lift"]].mean()
            axes.plot(1 - means.text_cka, means.lift, color=colour(place), marker=marker(place), ms=6, lw=2)
            for step, row in means.iterrows():
                place_of = (1 - float(row.text_cka), float(row.lift))
                axes.annotate(str(step), place_of, (4, 5), textcoords="offset points", fontsize=7.5)
            axes.set_title(f"on the way to {way}", fontsize=9.5, loc="left", color=INK)
            axes.set_xlabel("drift of text features (1 − CKA)")
            axes.set_ylabel("lift in H, points" if place == 0 else "")
            tidy(axes, "both")
    caption = "Each thin line is one module of the old backbone, reused at checkpoints of the new one's training; the thick "
    caption += "line is their mean, labelled with training steps."
    columns = ("Way to", "Step", "Method", "Drift", "Lift")
    data = tuple(
        (str(r["way"]), str(r["step"]), str(r["method"]), 1 - float(r["text_cka"]), float(r["lift"]))
        for r in shown.to_dict("records")
    )
    return Figure("lift-along-the-way", canvas, "Lift and drift along the way", caption, columns, data)
