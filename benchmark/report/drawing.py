"""How figures are drawn: same input, same bytes; in the page with its theme's colours, and as files next to it."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import escape, unescape
from typing import Any

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.text import Annotation
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

INK, SOFT, AXIS, GRID, PAGE, PAPER = "#1d2329", "#5f6b76", "#9aa3ab", "#e3e7ea", "#ffffff", "#fefefe"
BLACK = "#111417"
"""Text on coloured cells, which is dark in both themes."""
GOOD, BAD, MID = "#14602f", "#9c1c1c", "#4c5660"
SERIES = ("#1b62a5", "#b5480d", "#2c7a5b", "#7a3e9d", "#8a6d00", "#a3325f")
"""Colours of the series of a figure."""
MARKERS = ("o", "s", "^", "D", "v", "P")
VARIABLES = {
    INK: "--ink",
    SOFT: "--soft",
    AXIS: "--axis",
    GRID: "--line",
    PAGE: "--page",
    GOOD: "--good",
    BAD: "--bad",
    MID: "--mid",
    **{colour: f"--series-{i + 1}" for i, colour in enumerate(SERIES)},
}
"""The CSS variables of the colours, which differ between the light and the dark theme."""

STYLE: dict[Any, Any] = {
    "text.parse_math": False,
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.edgecolor": AXIS,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "hatch.linewidth": 0.6,
}


@contextmanager
def styled(salt: str = "") -> Iterator[None]:
    """While open, figures are drawn in the report's style; ``salt`` makes the ids inside an SVG unique."""
    with mpl.rc_context(STYLE | {"svg.hashsalt": salt}):
        yield


def tidy(axes: Axes, grid: str = "") -> None:
    """Only what is needed: no frame at top and right, no ticks, a light grid along ``grid`` ("x", "y" or "both")."""
    if grid:
        axes.grid(axis=grid, color=GRID, lw=0.8)  # type: ignore[arg-type]
        axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(which="both", length=0)


def svg(canvas: Canvas, salt: str) -> str:
    """The figure as an SVG file."""
    with styled(salt), io.StringIO() as text:
        empty: dict[str, Any] = {"Date": None, "Creator": None, "Format": None, "Type": None}
        canvas.savefig(text, format="svg", bbox_inches="tight", pad_inches=0.08, metadata=empty)
        return text.getvalue()


def pdf(canvas: Canvas, salt: str) -> bytes:
    """The figure as a PDF file."""
    with styled(salt), io.BytesIO() as content:
        empty: dict[str, Any] = {"CreationDate": None, "Creator": None, "Producer": None}
        canvas.savefig(content, format="pdf", bbox_inches="tight", pad_inches=0.08, metadata=empty)
        return content.getvalue()


def mark(artist: Artist, label: str, part: str, value: str = "") -> None:
    """Say which method an artist stands for, so that the page can point it out. The baseline, which others are compared
    with, is not marked.

    Args:
        artist: What is drawn; already in its axes.
        label: The method's, as tables write it.
        part: What of the method it shows; "frame" is for an artist of opacity 0, which the page
            shows while the method is chosen. A figure has each pair of label
            and part once.
        value: What the figure says of the method, in words. Of all marks of a method, the one that has a value is
            the one that the keyboard reaches.
    """
    artist.set_gid(f"{part}:{label}")
    artist.set_label(value)


def values(canvas: Canvas) -> dict[str, str]:
    """The values of the marks that have one, by the id of the mark."""
    marks = canvas.findobj(lambda artist: artist.get_gid() is not None)
    return {str(artist.get_gid()): str(artist.get_label()) for artist in marks if artist.get_label()}


def inline(text: str, title: str, values: Mapping[str, str] | None = None) -> str:
    """An SVG file as an ``<svg>`` element for a page: titled, without prolog, metadata or namespaces, ids only on
    what is referred to, colours as CSS variables so that the page's theme decides.

    Args:
        text: The file.
        title: What the figure shows.
        values: See ``values``.
    """
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r' xmlns(:\w+)?="[^"]*"', "", text)
    text = re.sub(r'<g id="(?:(\w+):([^"]*))?[^"]*"[^>]*>', lambda m: _group(m, values or {}), text).replace(
        "xlink:href", "href"
    )
    text = re.sub(r"((?:fill|stroke|stop-color): )(#[0-9a-f]{6})", _variable, text)
    name = escape(title)
    return re.sub(r"<svg[^>]*>", lambda m: _opening(m[0], name), text, count=1).strip()


def _group(match: re.Match[str], values: Mapping[str, str]) -> str:
    """The start of a group; with the method that it shows, if that was marked, whose name and value appear when it is
    pointed at. An empty group is left out: HTML would take it for one that is never closed."""
    if match[0].endswith("/>"):
        return ""
    part, label = match[1], match[2]
    if not part:
        return "<g>"
    value = values.get(unescape(f"{part}:{label}"), "")
    words, stop = (f"{label}: {escape(value)}", " data-stop") if value else (label, "")
    return f'<g class="{part}" data-mark="{label}"{stop}><title>{words}</title>'


def _variable(match: re.Match[str]) -> str:
    name = VARIABLES.get(match[2])
    return f"{match[1]}var({name}, {match[2]})" if name else match[0]


def _opening(tag: str, name: str) -> str:
    """The ``<svg>`` tag with its natural width in pixels, so that it neither grows nor becomes illegible."""
    width = re.search(r'width="([\d.]+)pt"', tag)
    size = f' style="width:{round(float(width[1]) * 4 / 3)}px"' if width else ""
    box = re.search(r'viewBox="[^"]*"', tag)
    return f'<svg role="img" aria-label="{name}" {box[0] if box else ""}{size}><title>{name}</title>'


def spread(values: Sequence[float], step: float) -> list[float]:
    """Places for labels at sorted ``values``, at least ``step`` apart and as near as possible: overlapping labels form a
    block that is centred on the mean of its values."""
    blocks: list[tuple[float, int]] = []
    for value in values:
        centre, count = value, 1
        while blocks and centre - (count - 1) * step / 2 < blocks[-1][0] + (blocks[-1][1] + 1) * step / 2:
            before, number = blocks.pop()
            centre, count = (before * number + centre * count) / (number + count), number + count
        blocks.append((centre, count))
    return [centre + (i - (count - 1) / 2) * step for centre, count in blocks for i in range(count)]


def label_right(
    axes: Axes, points: Sequence[tuple[float, float]], labels: Sequence[str], colours: Sequence[str], size: float = 8.5
) -> list[Annotation]:
    """Names of points at the right of the axes, moved apart, each with a line to its point; the lowest first."""
    names = []
    axes.margins(0.08)
    low, high = axes.get_ylim()
    height = 72 * axes.bbox.height / axes.figure.dpi
    order = sorted(range(len(points)), key=lambda i: points[i][1])
    places = spread([points[i][1] for i in order], 1.25 * size / height * (high - low))
    for i, place in zip(order, places, strict=True):
        name = axes.annotate(
            labels[i],
            points[i],
            (1.02, place),
            xycoords="data",
            textcoords=axes.get_yaxis_transform(),
            va="center",
            fontsize=size,
            color=colours[i],
            arrowprops={"arrowstyle": "-", "color": AXIS, "lw": 0.5, "shrinkB": 3},
        )
        names.append(name)
    return names


def log_axis(axes: Axes) -> None:
    """A logarithmic x axis with plain numbers, several in each decade."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of the Pareto front, cheapest first: points (cost, yield) for which no other costs no more and yields more."""
    indices: list[int] = []
    for i in sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1])):
        if not indices or points[i][1] > points[indices[-1]][1]:
            indices.append(i)
    return indices


def wrap(text: str) -> str:
    """A heading on two lines if it is long."""
    if len(text) < 12 or " " not in text:
        return text
    middle = min((i for i, c in enumerate(text) if c == " "), key=lambda i: abs(i - len(text) / 2))
    return text[:middle] + "\n" + text[middle + 1 :]


def colour(place: int) -> str:
    """Of the n-th series of a figure."""
    return SERIES[place % len(SERIES)]


def marker(place: int) -> str:
    """Of the n-th series of a figure."""
    return MARKERS[place % len(MARKERS)]


def legend_above(canvas: Canvas) -> None:
    """One legend for all axes, above them."""
    handles, labels = canvas.axes[0].get_legend_handles_labels()
    known = dict(zip(labels, handles, strict=True))
    canvas.legend(
        known.values(), known.keys(), loc="lower left", bbox_to_anchor=(0.06, 0.93), ncols=len(known), frameon=False
    )
