"""Figures with one point for each method: the summary's picture, base against new classes, flips, and cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D

from benchmark.config.files import slug
from benchmark.report.charts import DEPTHS
from benchmark.report.drawing import AXIS, BAD, GOOD, INK, MID, PAGE, SOFT, front, label_right, log_axis, mark, styled, tidy
from benchmark.report.model import CostRow, Figure, MethodRow, Scope
from benchmark.report.numbers import number, signed

VERDICTS = {"helps": (GOOD, "^"), "harms": (BAD, "v"), "no effect": (MID, "s"), "undecided": (MID, "o")}
"""Colour and marker by verdict."""
LABELLED = 8
"""At most this many points of a figure are labelled; the table below it has all."""


def strip(pairs: Sequence[tuple[str, Sequence[MethodRow]]], view: Scope) -> Figure | None:
    """Lift of every method on every pair, one line of points per pair, coloured by verdict; None without any lift."""
    shown = [(name, [r for r in rows if not r.baseline and math.isfinite(r.lift.mean)]) for name, rows in pairs]
    shown = [(name, rows) for name, rows in shown if rows]
    if not shown:
        return None
    with styled():
        canvas = Canvas(figsize=(7, 1.0 + 0.75 * len(shown)))
        axes = canvas.add_subplot()
        axes.axvline(0, color=AXIS, lw=1.2)
        for place, (upgrade, rows) in enumerate(shown):
            for row in rows:
                colour, marker = VERDICTS.get(row.verdict, (MID, "o"))
                (dot,) = axes.plot(row.lift.mean, place, marker, color=colour, ms=6, alpha=0.75, mew=0)
                mark(dot, row.label, f"point{place}", f"{verdict_words(row)} on {upgrade}")
            best, worst = (pick(rows, key=lambda row: row.lift.mean) for pick in (max, min))
            for row, side in ((worst, "left"), (best, "right")) if best is not worst else ((best, "right"),):
                name = axes.annotate(
                    f"{row.label} {signed(row.lift.mean)}",
                    (row.lift.mean, place),
                    (-4, -14) if side == "left" else (4, 6),
                    textcoords="offset points",
                    ha=side,
                    fontsize=8.5,
                    bbox={"facecolor": PAGE, "edgecolor": "none", "pad": 0.6},
                )
                mark(name, row.label, f"name{place}")
        tidy(axes, "x")
        axes.margins(x=0.08)
        axes.set_ylim(len(shown) - 0.6, -0.6)
        axes.set_yticks(range(len(shown)), [name for name, _ in shown])
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(f"lift: {view.word} of the reused module minus zero-shot, both on the new backbone, points")
        handles = verdict_handles([row for _, rows in shown for row in rows])
        axes.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1), ncols=4, frameon=False, borderaxespad=0.2)
    data = tuple((name, row.label, row.lift.mean, row.verdict) for name, rows in shown for row in rows)
    return Figure(
        "lift-by-upgrade",
        canvas,
        "Every reused module on every upgrade",
        "Each mark is one method. Right of the line: better than the new backbone without a module. Left of it: worse.",
        ("Upgrade", "Method", "Lift", "Verdict"),
        data,
    )


def verdict_words(row: MethodRow) -> str:
    """Lift, interval and verdict of a method."""
    return ", ".join(text for text in (f"lift {row.lift}", row.verdict) if text)


def verdict_handles(rows: Sequence[MethodRow]) -> list[Line2D]:
    """For a legend: the marks of the verdicts that rows have."""
    used = {row.verdict for row in rows}
    return [
        Line2D([], [], color=colour, marker=marker, ls="", label=verdict)
        for verdict, (colour, marker) in VERDICTS.items()
        if verdict in used
    ]


@dataclass(frozen=True)
class Point:
    """One method in a scatter plot."""

    row: MethodRow
    x: float
    y: float
    value: str
    """Both in words."""


def base_and_new(rows: Sequence[MethodRow], view: Scope, name: str) -> Figure | None:
    """Reused accuracy on base against new classes, with zero-shot's as a cross of dashed lines; None without both."""
    points = [
        Point(row, base, new, f"base {number(base)}, new {number(new)}")
        for row in rows
        for base, new in [(row.reuse.base, row.reuse.new)]
        if _all(base, new)
    ]
    modules = [point for point in points if not point.row.baseline]
    if not modules:
        return None
    canvas, axes = _sheet("accuracy on base classes, %", "accuracy on new classes, %")
    with styled():
        for point in points:
            if point.row.baseline:
                axes.axvline(point.x, color=SOFT, lw=1, ls="--")
                axes.axhline(point.y, color=SOFT, lw=1, ls="--")
        centre = _centre(modules, "x"), _centre(modules, "y")
        _draw(axes, modules, sorted(modules, key=lambda p: -abs(p.x - centre[0]) - abs(p.y - centre[1])))
    caption = (
        "Reused modules on the new backbone. The dashed lines are zero-shot's accuracies: above and right of both, a module "
    )
    caption += "helps on the classes that it was trained on and on unseen classes."
    columns = ("Method", "Learns at", "Base", "New")
    data = tuple((p.row.label, _depth(p.row), p.x, p.y) for p in points)
    return Figure(f"base-new-{slug(name)}", canvas, f"Base and new classes, reused, {name}", caption, columns, data)


def flips(rows: Sequence[MethodRow], name: str) -> Figure | None:
    """Negative against positive flips of reused modules, with zero-shot's own; None if there are none."""
    points = [
        Point(row, negative, positive, f"negative flips {number(negative)} %, positive flips {number(positive)} %")
        for row in rows
        for negative, positive in [(row.metric("negative_flip", "reuse"), row.metric("positive_flip", "reuse"))]
        if _all(negative, positive)
    ]
    modules = [point for point in points if not point.row.baseline]
    if not modules:
        return None
    canvas, axes = _sheet("right before, wrong after (negative flips), %", "wrong before, right after, %")
    with styled():
        high = 1.08 * max(1.0, *(max(p.x, p.y) for p in points))
        axes.plot([0, high], [0, high], color=AXIS, lw=1)
        axes.annotate("as many lost as gained", (0.93 * high, 0.96 * high), ha="right", va="center", color=SOFT)
        _draw(axes, modules, sorted(modules, key=lambda p: p.y - p.x))
        for point in points:
            if point.row.baseline:
                axes.plot(point.x, point.y, "D", color=SOFT, ms=8)
                axes.annotate(point.row.label, (point.x, point.y), (7, 3), textcoords="offset points", color=SOFT)
        axes.set_xlim(0, high)
        axes.set_ylim(0, high)
    caption = (
        "Test images whose answer changes from right to wrong, or from wrong to right, when the backbone under a module "
    )
    caption += "is replaced. Above the line the upgrade gains more images than it loses."
    columns = ("Method", "Learns at", "Negative flips", "Positive flips")
    data = tuple((p.row.label, _depth(p.row), p.x, p.y) for p in points)
    return Figure(f"flips-{slug(name)}", canvas, f"Flips from old to reused, {name}", caption, columns, data)


def pareto(rows: Sequence[MethodRow], costs: Mapping[str, CostRow], view: Scope, name: str) -> Figure | None:
    """Lift against the time of one training, with the Pareto front; None with fewer than two points."""
    points = [
        Point(row, costs[row.label].seconds, row.lift.mean, f"lift {row.lift}, {number(costs[row.label].seconds, 2)} s")
        for row in rows
        if not row.baseline and row.label in costs and _all(costs[row.label].seconds, row.lift.mean)
    ]
    points = [point for point in points if point.x > 0]
    if len(points) < 2:
        return None
    best = front([(point.x, point.y) for point in points])
    canvas, axes = _sheet("time of one training, seconds (median)", f"lift of the reused module, {view.word}, points")
    with styled():
        log_axis(axes)
        axes.axhline(0, color=AXIS, lw=1.2)
        line = [(points[i].x, points[i].y) for i in best]
        axes.step([x for x, _ in line], [y for _, y in line], where="post", color=MID, lw=1.2, ls=":")
        rest = sorted((point for i, point in enumerate(points) if i not in best), key=lambda point: -point.y)
        _draw(axes, points, [*(points[i] for i in best), *rest])
    caption = (
        "Lift of the reused module against the time of one training. The dotted line is the Pareto front: no other method "
    )
    caption += "is better in both. Times were measured on this machine, possibly with several trainings at a time."
    data = tuple((p.row.label, _depth(p.row), p.x, p.y, "yes" if i in best else "") for i, p in enumerate(points))
    columns = ("Method", "Learns at", "Seconds", "Lift", "On the front")
    return Figure(f"cost-{slug(name)}", canvas, f"Lift and cost of training, {name}", caption, columns, data)


def _sheet(x: str, y: str) -> tuple[Canvas, Axes]:
    with styled():
        canvas = Canvas(figsize=(7.4, 4.6))
        axes = canvas.add_subplot()
        tidy(axes, "both")
        axes.set_xlabel(x)
        axes.set_ylabel(y)
    return canvas, axes


def _draw(axes: Axes, points: Sequence[Point], ordered: Sequence[Point]) -> None:
    """Points by where a method learns; the first of ``ordered`` are labelled at the right, with labels moved apart."""
    for point in points:
        colour, marker, _ = DEPTHS.get(point.row.depth, DEPTHS["none"])
        (dot,) = axes.plot(point.x, point.y, marker, color=colour, ms=5.5, alpha=0.85, mew=0)
        mark(dot, point.row.label, "point", point.value)
    named = ordered[:LABELLED]
    colours = [DEPTHS.get(point.row.depth, DEPTHS["none"])[0] for point in named]
    for name in label_right(axes, [(p.x, p.y) for p in named], [p.row.label for p in named], colours):
        mark(name, name.get_text(), "name")
    used = {point.row.depth for point in points}
    handles = [
        Line2D([], [], color=colour, marker=marker, ls="", label=word)
        for depth, word in (("shallow", "learns at the text input (shallow)"), ("deep", "learns later (deep)"))
        if depth in used
        for colour, marker, _ in (DEPTHS[depth],)
    ]
    axes.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, borderaxespad=0.2, labelcolor=INK
    )


def _centre(points: Sequence[Point], axis: str) -> float:
    values = [float(getattr(point, axis)) for point in points]
    return sum(values) / len(values)


def _all(*values: float) -> bool:
    return all(math.isfinite(value) for value in values)


def _depth(row: MethodRow) -> str:
    return "baseline" if row.baseline else row.depth
