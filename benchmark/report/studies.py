"""Sections about the analyses: what each found, drawn and in tables; or the command for those that have not been run."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from benchmark.analysis.findings import ANALYSES, Finding, Findings
from benchmark.report.model import AnalysisView, Cell, Figure, Grid
from benchmark.report.words import duration, listing, number, plural, signed, slug

TITLES = {
    "drift": "Drift of the backbone",
    "depth": "Depth of the module",
    "snapshots": "Does drift predict loss?",
    "repair": "Repair",
    "break-even": "Break-even with retraining",
}
WHY = ("drift", "depth", "snapshots")
"""Those that say why; the others say what to do."""
Parts = tuple[tuple[str, ...], tuple[Figure | None, ...], tuple[Grid, ...]]


def views(found: Findings, command: str = "") -> list[AnalysisView]:
    """All analyses in order, one view for each data set; those that were not run have their command only, for the YAML of
    the run's ``command``."""
    given = re.search(r"--upgrade-pairs[ =](\S+)", command)
    file = given[1] if given else "pairs.yaml"
    made: list[AnalysisView] = []
    for name in ANALYSES:
        finished = [finding for finding in found.get(name, ()) if not finding.table.empty]
        made += [_view(name, finding, name if first == 0 else "") for first, finding in enumerate(finished)]
        if not finished:
            todo = f"python run_benchmark.py analyse {name} --upgrade-pairs {file}"
            made.append(AnalysisView(name, name, TITLES[name], ANALYSES[name][1], todo))
    return made


def _view(name: str, finding: Finding, anchor: str) -> AnalysisView:
    made, (findings, figures, grids) = finding.made, _MAKERS[name](finding.table)
    how = f"On {made.title} ({made.dataset}), {plural(len(made.seeds), 'seed')}, {made.device}, in {duration(made.seconds)}"
    return AnalysisView(
        name,
        anchor or f"{name}-{slug(made.dataset)}",
        f"{TITLES[name]}: {made.title}",
        ANALYSES[name][1],
        made.command,
        findings,
        tuple(replace(figure, name=f"{figure.name}-{slug(made.dataset)}") for figure in figures if figure),
        tuple(replace(grid, file=f"{name} {made.dataset} {grid.title}") for grid in grids),
        f"{how}, {made.created}.",
        made.warning,
    )


def _drift(table: pd.DataFrame) -> Parts:
    from benchmark.report import curves  # draws with matplotlib: not before there is something to draw

    sentences = []
    for pair, part in table.groupby("pair", sort=False):
        text = part[(part.tower == "text") & (part.metric == "cka") & (part.order >= 0)].sort_values("order")
        blocks = text[text.stage.str.startswith("block")]
        if len(blocks) > 1:
            first, last = blocks.value.iloc[0], blocks.value.iloc[-1]
            output = text.value.iloc[-1]
            way = "falls" if last < first - 0.02 else "rises" if last > first + 0.02 else "stays"
            sentences.append(
                f"{_arrow(pair)}: text features are alike by CKA {number(first, 2)} after the first block and "
                f"{number(last, 2)} after the last ({way} with depth), {number(output, 2)} at the output."
            )
    wide = table.pivot_table(index=["tower", "order", "stage", "metric"], columns="pair", values="value", sort=True)
    wide = wide[list(dict.fromkeys(table.pair))]
    rows: list[tuple[Cell, ...]] = [
        (str(key[0]), str(key[2]), METRICS[str(key[3])], *map(float, row)) for key, row in _items(wide)
    ]
    grid = Grid("Drift by stage", ("Tower", "Stage", "Figure", *map(_arrow, wide.columns)), tuple(rows), digits=2)
    return tuple(sentences), (curves.drift(table, "cka"), curves.drift(table, "change")), (grid,)


METRICS = {"change": "relative change of parameters", "cka": "CKA of features", "cosine": "cosine of features"}


def _depth(table: pd.DataFrame) -> Parts:
    from benchmark.report import curves

    sentences = []
    for title, mine in table[table.status == "ok"].groupby("title", sort=False):
        ends = {_arrow(pair): _ends(part.sort_values("order")) for pair, part in mine.groupby("pair", sort=False)}
        words = [f"{pair} {signed(first)} to {signed(last)}" for pair, (first, last) in ends.items()]
        sentences.append(
            f"{title}: lift on the new backbone less lift on the old one, shallowest to deepest: {listing(words)}."
        )
    columns: tuple[str, ...] = ("Upgrade", "Method", "Place", "Old", "Zero-shot old", "Reuse", "Zero-shot new", "Lift")
    columns = (*columns, "Change of lift", "Interval")
    rows = tuple(
        (
            _arrow(row["pair"]),
            str(row["title"]),
            str(row["place"]),
            *(row[name] for name in ("old", "zs_old", "reuse", "zs_new", "lift", "change")),
            _range(row["change_low"], row["change_high"]),
        )
        for row in table.to_dict("records")
    )
    return tuple(sentences), (curves.depth(table),), (Grid("Depth", columns, rows),)


def _ends(part: pd.DataFrame) -> tuple[float, float]:
    return float(part.change.iloc[0]), float(part.change.iloc[-1])


def _snapshots(table: pd.DataFrame) -> Parts:
    from benchmark.report import curves

    sentences = []
    means = table[table.status == "ok"].groupby(["way", "step"]).mean(numeric_only=True).reset_index()
    for way, part in means.groupby("way", sort=False):
        found = (rank_correlation(drift, part.lift) for drift in (1 - part.text_cka, part.text_change))
        told = [f"{number(rho, 2)} [{number(low, 2)}, {number(high, 2)}]" for rho, low, high in found]
        sentences.append(
            f"On the way to {way}, over {len(part)} snapshots: rank correlation of mean lift with the drift of text "
            f"features (1 − CKA) {told[0]}, with the change of the text tower's parameters {told[1]}."
        )
    sentences.append(
        "The interval takes the snapshots for independent, which points of one way are not: it is too narrow, and the "
        "figure describes these ways rather than upgrades in general."
    )
    columns = ("Way to", "Step", "Text parameters moved", "Text CKA", "Image CKA", "Zero-shot H", "Mean lift")
    rows = tuple(
        (str(r["way"]), str(r["step"]), r["text_change"], r["text_cka"], r["image_cka"], r["zs_new"], r["lift"])
        for r in means.to_dict("records")
    )
    return tuple(sentences), (curves.snapshots(table),), (Grid("Snapshots, means over methods", columns, rows, digits=2),)


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


def _repair(table: pd.DataFrame) -> Parts:
    from benchmark.report import pareto

    good = table[table.accuracy.notna()]
    sentences = []
    for pair, part in good.groupby("pair", sort=False):
        tried = _tried(part)
        better, worse = tried[tried.over_reuse_low > 0], tried[tried.over_reuse_high < 0]
        best = _mean_by(tried, "label").head(1)
        text = f"{_arrow(pair)}: of {plural(len(tried), 'repair')}, {len(better)} surely better than plain reuse, "
        text += f"{len(worse)} surely worse (each interval by itself)."
        if len(best):
            text += f" Best on average is {best.index[0]} ({signed(float(best.iloc[0]))} points over reuse)."
        for label, mine in tried[~tried.label.isin(_mean_by(tried, "label").index)].groupby("label", sort=False):
            if mine.title.nunique() > 2:
                mean = signed(float(mine.over_reuse.mean()))
                text += f" {str(label).capitalize()} brings {mean} to the {mine.title.nunique()} methods that allow it."
        sentences.append(text)
    columns = (
        "Upgrade",
        "Method",
        "Strategy",
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
            _arrow(row["pair"]),
            str(row["title"]),
            str(row["label"]),
            row["accuracy"],
            row["lift"],
            row["over_reuse"],
            _range(row["over_reuse_low"], row["over_reuse_high"]),
            f"{row['images']:.0f}",
            f"{row['steps']:.0f}",
            row["seconds"],
        )
        for row in good.to_dict("records")
    )
    left = table[table.accuracy.isna() & (table.reason != "")]
    groups = left.groupby(["label", "pair", "status"], sort=False).title.agg(lambda x: listing(list(dict.fromkeys(x))))
    gone = tuple((str(key[0]), _arrow(key[1]), str(key[2]), str(value)) for key, value in _items(groups))
    grids = [_by_strategy(good), Grid("Every module and strategy", columns, rows)]
    if gone:
        grids.append(Grid("Not possible", ("Strategy", "Upgrade", "Status", "Methods"), gone))
    return tuple(sentences), pareto.figures(good), tuple(grids)


def cheapest(findings: Sequence[Finding]) -> dict[str, str]:
    """By pair, what the repair that adds most to reuse adds and costs, beside retraining; means over methods, on the first
    data set that repairs were tried on."""
    if not findings:
        return {}
    finding = findings[0]
    good, found = finding.table[finding.table.accuracy.notna()], {}
    for pair, part in good.groupby("pair", sort=False):
        means = _mean_by(_tried(part), "label")
        if means.empty:
            continue
        parts = []
        for label in (str(means.index[0]), "retrain"):
            mine = part[part.label == label]
            parts.append(f"{label} {signed(float(mine.over_reuse.mean()))} ({duration(float(mine.seconds.mean()))})")
        found[_arrow(pair)] = f"Over reuse on {finding.made.title}, on average: {', '.join(parts)}."
    return found


def _tried(part: pd.DataFrame) -> pd.DataFrame:
    """The rows of repairs, without what they are compared with."""
    return part[~part.strategy.isin(["retrain", "reuse"]) & ~part.strategy.str.startswith("scratch")]


def _mean_by(part: pd.DataFrame, name: str) -> pd.Series[float]:
    """Mean over methods of what a strategy adds to reuse, best first; only strategies that most methods allow."""
    means = part.groupby(name).over_reuse.agg(["mean", "count"])
    return means[means["count"] >= 0.5 * means["count"].max()]["mean"].sort_values(ascending=False)


def _by_strategy(good: pd.DataFrame) -> Grid:
    """Means over methods, by strategy."""
    pairs = list(dict.fromkeys(good.pair))
    rows: list[tuple[Cell, ...]] = []
    for label in dict.fromkeys(good.label):
        mine = good[good.label == label]
        cost = (f"{mine.images.mean():.0f}", f"{mine.steps.mean():.0f}", float(mine.seconds.mean()))
        values = [mine[mine.pair == pair] for pair in pairs]
        rows.append((str(label), *cost, *(float(part.over_reuse.mean()) for part in values), str(mine.title.nunique())))
    columns = ("Strategy", "Images", "Steps", "Seconds", *map(_arrow, pairs), "Methods")
    return Grid("Points of H over plain reuse, mean over the methods that allow the strategy", columns, tuple(rows))


def _break_even(table: pd.DataFrame) -> Parts:
    from benchmark.report import curves

    rows: list[tuple[Cell, ...]] = []
    sentences = []
    for (pair, title), part in table.groupby(["pair", "title"], sort=False):
        found = [break_even(part[part.budget == budget]) for budget in ("steps", "shots")]
        reuse, zero = float(part.reuse.iloc[0]), float(part.zs_new.iloc[0])
        whole = part[part.full.astype(str) == "True"].accuracy
        rows.append((_arrow(pair), str(title), zero, reuse, float(whole.iloc[0]) if len(whole) else math.nan, *found))
    for pair in dict.fromkeys(row[0] for row in rows):
        mine = [str(row[5]) for row in rows if row[0] == pair and row[5] != NO_STEPS]
        never = sum(text.startswith("more than") for text in mine)
        none = sum(text == NOTHING for text in mine)
        sentences.append(
            f"{pair}: of {plural(len(mine), 'method')} that take steps, {none} bring no more than zero-shot when reused, so "
            f"their break-even is 0; {never} reused are not matched by all of retraining."
        )
    columns = ("Upgrade", "Method", "Zero-shot new", "Reuse", "Retrain", "Steps that equal reuse", "Shots that equal reuse")
    return tuple(sentences), (curves.break_even(table),), (Grid("Break-even", columns, tuple(rows)),)


NOTHING, NO_STEPS = "0", "takes no steps"


def break_even(curve: pd.DataFrame) -> str:
    """The smallest budget at which retraining is as good as reuse, and the range that the intervals allow.

    ``curve`` has a method's points of one budget on one pair; amount 0 is zero-shot. Between two points the mean is taken to
    be linear.
    """
    points = curve.sort_values("amount")
    points = points[points.over_reuse.notna()]
    if points.empty:
        return NO_STEPS if curve.empty else "no figure"
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


def _items(table: Any) -> list[tuple[tuple[Any, ...], Any]]:
    """Rows by the parts of their names."""
    pairs = table.iterrows() if isinstance(table, pd.DataFrame) else table.items()
    return [(tuple(key) if isinstance(key, tuple) else (key,), row) for key, row in pairs]


def _range(low: float, high: float) -> str:
    return f"{signed(low)} to {signed(high)}" if math.isfinite(low) and math.isfinite(high) else ""


def _arrow(pair: object) -> str:
    return str(pair).replace("->", " \N{RIGHTWARDS ARROW} ")


_MAKERS: dict[str, Callable[[pd.DataFrame], Parts]] = {
    "drift": _drift,
    "depth": _depth,
    "snapshots": _snapshots,
    "repair": _repair,
    "break-even": _break_even,
}
