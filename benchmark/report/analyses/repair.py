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
            for label, rows in tried[~tried.label.isin(_mean_by(tried, "label").index)].groupby("label", sort=False):
                if rows.method.nunique() > 2:
                    mean, name = signed(float(rows.over_reuse.mean())), str(label)
                    text += (
                        f" {name[0].upper()}{name[1:]} brings {mean} for the {rows.method.nunique()} methods that allow it."
                    )
            sentences.append(text + _without_labels(part))
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
                str(row["method"]),
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
        without = table[table.accuracy.isna() & (table.reason != "")]
        groups = without.groupby(["label", "pair", "status"], sort=False).method.agg(
            lambda x: listing(list(dict.fromkeys(x)))
        )
        impossible = tuple((str(key[0]), arrow(key[1]), str(key[2]), str(value)) for key, value in items(groups))
        tables = [_choices(good), _by_repair(good), simple("Every module and repair", columns, rows)]
        if impossible:
            tables.append(simple("Not possible", ("Repair", "Upgrade", "Status", "Methods"), impossible))
        return tables

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
            answers[str(pair)] = f"Over reuse on {finding.provenance.title}, on average: {', '.join(parts)}."
        return answers


def _good(table: pd.DataFrame) -> pd.DataFrame:
    return table[table.accuracy.notna()]


def _tried(part: pd.DataFrame) -> pd.DataFrame:
    """The rows of repairs, without what they are compared with."""
    return part[~part.repair.isin(COMPARED) & ~part.repair.str.startswith("scratch") & ~part.control]


COMPARED = ("stay", "reuse", "retrain")
"""What is no repair."""


def _label_free(part: pd.DataFrame) -> pd.DataFrame:
    """The rows of what needs no labels of the task: staying, reuse and most repairs."""
    trained = part.repair.eq("retrain") | part.repair.str.startswith("scratch")
    return part[~trained & (part.labels == 0) & ~part.control & part.lift.notna()]


def _without_labels(part: pd.DataFrame) -> str:
    """The best choice on average among those that every module allows."""
    rows = _label_free(part)
    counts = rows.groupby("label", sort=False).method.nunique()
    common = rows[rows.label.isin(counts[counts == counts.max()].index)] if len(rows) else rows
    if common.empty:
        return ""
    means = common.groupby("label", sort=False).lift.mean()
    best = str(means.idxmax())
    (keeps,) = set(common[common.label == best].keeps)
    text = f" Without labels, {best} is the best of {plural(len(means), 'choice')} that every module has: "
    text += f"{signed(float(means.max()))} points over zero-shot on the new backbone"
    text += f" (it keeps {keeps} in use)" if keeps else ""
    retrained = part[part.repair == "retrain"].lift
    return text + (f"; retraining brings {signed(float(retrained.mean()))}." if len(retrained) else ".")


def _choices(good: pd.DataFrame) -> Table:
    """For each module the choice without labels that has the largest lift, and the one that leaves the old backbone out."""
    rows: list[tuple[Plain, ...]] = []
    for (pair, method), part in good.groupby(["pair", "method"], sort=False):
        free = _label_free(part)
        if free.empty:
            continue
        found: list[Plain] = [arrow(pair), str(method)]
        for some in (free, free[~free.keeps.str.startswith("the old backbone")]):
            if some.empty:
                found += ["", float("nan"), ""]
            else:
                best = some.sort_values("lift", ascending=False, kind="stable").iloc[0]
                found += [str(best.label), float(best.lift), range_of(best.lift_low, best.lift_high)]
        rest = [part[part.repair == name].lift for name in ("reuse", "retrain")]
        rows.append((*found, *(float(lift.iloc[0]) if len(lift) else float("nan") for lift in rest)))
    one = ("Upgrade", "Method", "Best without labels", "Lift", "Interval")
    other = ("Best without the old backbone", "Its lift", "Its interval", "Lift of reuse", "Lift of retraining")
    title = "Choices without labels, points of H over zero-shot (intervals do not allow for the choice among several)"
    return simple(title, (*one, *other), tuple(rows))


def _mean_by(part: pd.DataFrame, name: str) -> pd.Series[float]:
    """Mean over methods of what a repair adds to reuse, best first; only repairs that most methods allow."""
    means = part.groupby(name).over_reuse.agg(["mean", "count"])
    return means[means["count"] >= 0.5 * means["count"].max()]["mean"].sort_values(ascending=False)


def _by_repair(good: pd.DataFrame) -> Table:
    """Means over methods, by repair."""
    pairs = list(dict.fromkeys(good.pair))
    rows: list[tuple[Plain, ...]] = []
    for label in dict.fromkeys(good.label):
        repaired = good[good.label == label]
        cost = (f"{repaired.images.mean():.0f}", f"{repaired.steps.mean():.0f}", float(repaired.seconds.mean()))
        gains = [float(repaired[repaired.pair == pair].over_reuse.mean()) for pair in pairs]
        rows.append((str(label), *cost, *gains, str(repaired.method.nunique())))
    columns = ("Repair", "Images", "Steps", "Seconds", *map(arrow, pairs), "Methods")
    return simple("Points of H over plain reuse, mean over the methods that allow the repair", columns, rows)


FEW = 3
"""A mean over fewer methods is not shown."""


def repair_figures(table: pd.DataFrame) -> tuple[Figure, ...]:
    """One figure of the repairs that most methods allow, and one for each other repair, of the methods that allow it.

    ``table`` has those rows of the analysis "repair" that have values.
    """
    counts = table.groupby("repair", sort=False).method.nunique()
    common = set(counts[counts >= 0.5 * counts.max()].index)
    figures = [_figure(_of(table, common), "repair-cost", "What a repair brings and costs")]
    for repair in counts[(counts < 0.5 * counts.max()) & (counts >= FEW)].index:
        label = str(table[table.repair == repair].label.iloc[0])
        title = f"The same for the methods that allow {label}"
        figures.append(_figure(_of(table, common | {repair}), f"repair-cost-{repair}", title))
    return tuple(figure for figure in figures if figure)


def _of(table: pd.DataFrame, repairs: set[str]) -> pd.DataFrame:
    """Rows of some repairs, for the methods that allow all of them on the same pair."""
    parts = []
    for _, part in table[table.repair.isin(repairs) & table.lift.notna()].groupby("pair", sort=False):
        count = part.groupby("method").repair.nunique()
        parts.append(part[part.method.isin(count[count == len(repairs)].index)])
    return pd.concat(parts) if parts else table.iloc[:0]


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
            repairs = means.loc[pair]
            points = [(max(float(row.seconds), floor), float(row.lift)) for _, row in repairs.iterrows()]
            best = front(points)
            _panel(axes, points, [str(label) for label in repairs.index], best)
            axes.set_title(arrow(pair), fontsize=9.5, loc="left", color=INK)
            axes.set_ylabel("H minus zero-shot, points" if place % 2 == 0 else "")
            for i, (label, row) in enumerate(repairs.iterrows()):
                on = "yes" if i in best else ""
                data.append((arrow(pair), str(label), float(row.seconds), float(row.images), float(row.lift), on))
    counts = table.groupby("pair", sort=False).method.nunique()
    many = f"{counts.min()}" if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"
    caption = f"Means over the {many} methods that allow all repairs shown. The dotted line is the Pareto front: no other "
    caption += "repair is better in both. Reuse costs nothing and is drawn at the left edge."
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
