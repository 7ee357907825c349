"""How far parameters and features move, stage by stage."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure as Canvas

from benchmark.report.analysis_view import View, items
from benchmark.report.drawing import (
    colour,
    legend_above,
    marker,
    styled,
    tidy,
)
from benchmark.report.model import Figure
from benchmark.report.numbers import arrow, number
from benchmark.report.table import Plain, Table, simple

METRICS = {"change": "relative change of parameters", "cka": "CKA of features", "cosine": "cosine of features"}
AXES = {"cka": ("Similarity of features (CKA)", "linear CKA"), "change": ("Change of parameters", "|W' − W| / |W|")}


class DriftView(View):
    """How far parameters and features move, stage by stage."""

    analysis = "drift"

    def sentences(self, table: pd.DataFrame) -> Sequence[str]:
        sentences = []
        for pair, part in table.groupby("pair", sort=False):
            text = part[(part.tower == "text") & (part.metric == "cka") & (part.order >= 0)].sort_values("order")
            blocks = text[text.stage.str.startswith("block")]
            if len(blocks) > 1:
                first, last = blocks.value.iloc[0], blocks.value.iloc[-1]
                output = text.value.iloc[-1]
                trend = "falling" if last < first - 0.02 else "rising" if last > first + 0.02 else "constant"
                sentences.append(
                    f"{arrow(pair)}: the CKA of text features is {number(first, 2)} after the first block and "
                    f"{number(last, 2)} after the last ({trend} with depth), and {number(output, 2)} at the output."
                )
        return sentences

    def figures(self, table: pd.DataFrame) -> Sequence[Figure | None]:
        return drift_figure(table, "cka"), drift_figure(table, "change")

    def tables(self, table: pd.DataFrame) -> Sequence[Table]:
        wide = table.pivot_table(index=["tower", "order", "stage", "metric"], columns="pair", values="value", sort=True)
        wide = wide[list(dict.fromkeys(table.pair))]
        rows: list[tuple[Plain, ...]] = [
            (str(key[0]), str(key[2]), METRICS[str(key[3])], *map(float, row)) for key, row in items(wide)
        ]
        headings = ("Tower", "Stage", "Metric", *map(arrow, wide.columns))
        return (simple("Drift by stage", headings, rows, digits=2),)


def drift_figure(table: pd.DataFrame, metric: str) -> Figure | None:
    """A curve for each pair over the stages of the text tower and of the image tower; None without values."""
    shown = table[(table.metric == metric) & (table.order >= 0) & table.value.notna()]
    if shown.empty:
        return None
    pairs = list(dict.fromkeys(shown.pair))
    title, label = AXES[metric]
    with styled():
        canvas = Canvas(figsize=(9, 3.4))
        for place, (tower, word) in enumerate((("text", "text tower"), ("vision", "image tower"))):
            axes = canvas.add_subplot(1, 2, place + 1)
            rows = shown[shown.tower == tower]
            stages = rows.drop_duplicates("order").sort_values("order")
            for number, pair in enumerate(pairs):
                line = rows[rows.pair == pair].sort_values("order")
                axes.plot(line.order, line.value, color=colour(number), marker=marker(number), ms=5, label=arrow(pair))
            axes.set_xticks(stages.order, [str(stage).replace("block ", "") for stage in stages.stage])
            axes.set_xlabel(f"{word}: input, blocks, output")
            axes.set_ylabel(label if place == 0 else "")
            if metric == "cka":
                axes.set_ylim(min(0, float(shown.value.min())) - 0.03, 1.03)
            else:
                axes.set_ylim(0, None)
            tidy(axes, "y")
        legend_above(canvas)
    caption = (
        "1: the same features up to rotation and scale. 0: unrelated. Features of the task's class prompts and test images."
    )
    if metric == "change":
        caption = (
            "Norm of the change of the weights, relative to the norm of the old weights; only where names and shapes agree. "
        )
        caption += "For unrelated weights of equal norm it is about 1.4."
    data = tuple((arrow(r["pair"]), r["tower"], r["stage"], float(r["value"])) for r in shown.to_dict("records"))
    return Figure(f"drift-{metric}", canvas, title, caption, ("Upgrade", "Tower", "Stage", label), data)
