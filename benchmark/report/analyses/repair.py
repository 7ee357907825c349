"""What repairs bring and cost."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from benchmark.analysis.findings import Finding
from benchmark.report.analysis_view import View, items, range_of
from benchmark.report.drawing import (
    AXIS,
    GOOD,
    INK,
    MID,
    SOFT,
    front,
    label_right,
    log_axis,
    styled,
    tidy,
)
from benchmark.report.model import Figure
from benchmark.report.numbers import arrow, duration, listing, plural, signed
from benchmark.report.table import Plain, Table, simple


class RepairView(View):
    """What repairs bring and cost."""

    analysis = "repair"

    def sentences(self, table: pd.DataFrame) -> Sequence[str]:
        good = _good(table)
        sentences = []
        for pair, part in good.groupby("pair", sort=False):
            tried = _tried(part)
            better, worse = tried[tried.over_reuse_low > 0], tried[tried.over_reuse_high < 0]
            best = _mean_by(tried, "label").head(1)
            text = f"{arrow(pair)}: of {plural(len(tried), 'repair')}, {len(better)} significantly better than plain reuse, "
            text += f"{len(worse)} significantly worse (intervals are not corrected for their number)."
            if len(best):
                text += f" Best on average is {best.index[0]} ({signed(float(best.iloc[0]))} points over reuse)."
            for label, mine in tried[~tried.label.isin(_mean_by(tried, "label").index)].groupby("label", sort=False):
                if mine.title.nunique() > 2:
                    mean = signed(float(mine.over_reuse.mean()))
                    text += f" {str(label).capitalize()} brings {mean} to the {mine.title.nunique()} methods that allow it."
            sentences.append(text)
        return sentences

    def figures(self, table: pd.DataFrame) -> Sequence[Figure | None]:
        return repair_figures(_good(table))

    def tables(self, table: pd.DataFrame) -> Sequence[Table]:
        good = _good(table)
        columns = (
            "Upgrade",
            "Method",
            "Repair",
            "H",
            "Over zero-shot",
            "Over reuse",
            "Interval",
            "Images",
            "Steps",
            "Seconds",
        )
        rows = tuple(
            (
                arrow(row["pair"]),
                str(row["title"]),
                str(row["label"]),
                row["accuracy"],
                row["lift"],
                row["over_reuse"],
                range_of(row["over_reuse_low"], row["over_reuse_high"]),
                f"{row['images']:.0f}",
                f"{row['steps']:.0f}",
                row["seconds"],
            )
            for row in good.to_dict("records")
        )
        left = table[table.accuracy.isna() & (table.reason != "")]
        groups = left.groupby(["label", "pair", "status"], sort=False).title.agg(lambda x: listing(list(dict.fromkeys(x))))
        gone = tuple((str(key[0]), arrow(key[1]), str(key[2]), str(value)) for key, value in items(groups))
        grids = [_by_strategy(good), simple("Every module and repair", columns, rows)]
        if gone:
            grids.append(simple("Not possible", ("Repair", "Upgrade", "Status", "Methods"), gone))
        return grids

    def answers(self, finding: Finding) -> dict[str, str]:
        """What the repair that adds most to reuse adds and costs, and retraining; means over methods."""
        good, answers = _good(finding.table), {}
        for pair, part in good.groupby("pair", sort=False):
            means = _mean_by(_tried(part), "label")
            if means.empty:
                continue
            parts = []
            for label in (str(means.index[0]), "retrain"):
                rows = part[part.label == label]
                parts.append(f"{label} {signed(float(rows.over_reuse.mean()))} ({duration(float(rows.seconds.mean()))})")
            answers[str(pair)] = f"Over reuse on {finding.made.title}, on average: {', '.join(parts)}."
        return answers


def _good(table: pd.DataFrame) -> pd.DataFrame:
    return table[table.accuracy.notna()]


def _tried(part: pd.DataFrame) -> pd.DataFrame:
    """The rows of repairs, without what they are compared with."""
    return part[~part.repair.isin(["retrain", "reuse"]) & ~part.repair.str.startswith("scratch")]


def _mean_by(part: pd.DataFrame, name: str) -> pd.Series[float]:
    """Mean over methods of what a strategy adds to reuse, best first; only strategies that most methods allow."""
    means = part.groupby(name).over_reuse.agg(["mean", "count"])
    return means[means["count"] >= 0.5 * means["count"].max()]["mean"].sort_values(ascending=False)


def _by_strategy(good: pd.DataFrame) -> Table:
    """Means over methods, by strategy."""
    pairs = list(dict.fromkeys(good.pair))
    rows: list[tuple[Plain, ...]] = []
    for label in dict.fromkeys(good.label):
        mine = good[good.label == label]
        cost = (f"{mine.images.mean():.0f}", f"{mine.steps.mean():.0f}", float(mine.seconds.mean()))
        values = [mine[mine.pair == pair] for pair in pairs]
        rows.append((str(label), *cost, *(float(part.over_reuse.mean()) for part in values), str(mine.title.nunique())))
    columns = ("Repair", "Images", "Steps", "Seconds", *map(arrow, pairs), "Methods")
    return simple("Points of H over plain reuse, mean over the methods that allow the repair", columns, rows)


FEW = 3
"""Least methods that a mean is shown of."""


def repair_figures(table: pd.DataFrame) -> tuple[Figure, ...]:
    """One figure of the strategies that most methods allow; one more for each other strategy, of the methods that allow it.

    ``table`` has the rows with figures of the analysis "repair".
    """
    counts = table.groupby("repair", sort=False).title.nunique()
    common = set(counts[counts >= 0.5 * counts.max()].index)
    found = [_figure(_of(table, common), "repair-cost", "What a repair brings and costs")]
    for repair in counts[(counts < 0.5 * counts.max()) & (counts >= FEW)].index:
        label = str(table[table.repair == repair].label.iloc[0])
        title = f"The same for the methods that allow {label}"
        found.append(_figure(_of(table, common | {repair}), f"repair-cost-{repair}", title))
    return tuple(figure for figure in found if figure)


def _of(table: pd.DataFrame, strategies: set[str]) -> pd.DataFrame:
    """Rows of some strategies, of the methods that allow all of them; pair by pair."""
    found = []
    for _, part in table[table.repair.isin(strategies) & table.lift.notna()].groupby("pair", sort=False):
        count = part.groupby("title").repair.nunique()
        found.append(part[part.title.isin(count[count == len(strategies)].index)])
    return pd.concat(found) if found else table.iloc[:0]


def _figure(table: pd.DataFrame, name: str, title: str) -> Figure | None:
    if table.empty:
        return None
    pairs = list(dict.fromkeys(table.pair))
    means = table.groupby(["pair", "label"], sort=False)[["seconds", "images", "lift"]].mean()
    floor = 0.5 * float(means.seconds[means.seconds > 0].min()) if (means.seconds > 0).any() else 0.01
    data: list[tuple[Plain, ...]] = []
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
            axes.set_title(arrow(pair), fontsize=9.5, loc="left", color=INK)
            axes.set_ylabel("H over zero-shot, points" if place % 2 == 0 else "")
            for i, (label, row) in enumerate(found.iterrows()):
                on = "yes" if i in best else ""
                data.append((arrow(pair), str(label), float(row.seconds), float(row.images), float(row.lift), on))
    counts = table.groupby("pair", sort=False).title.nunique()
    many = f"{counts.min()}" if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"
    caption = f"Means over the {many} methods that allow all repairs shown. The dotted line joins those that no other beats "
    caption += "in both; reuse costs nothing and is at the left."
    columns = ("Upgrade", "Repair", "Seconds", "Images", "Over zero-shot", "On the front")
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
