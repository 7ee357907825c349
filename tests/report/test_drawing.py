"""Labels, fronts and inline drawings."""

from __future__ import annotations

import itertools

import pytest
from matplotlib.figure import Figure as Canvas

from benchmark.report.drawing import front, inline, log_axis, mark, spread, styled, svg, values


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 1.1, 1.2, 9.0], [0.0, 0.0, 0.0], [1.0, 2.0, 2.5, 2.9, 3.0]])
def test_labels_are_spread(values: list[float]) -> None:
    places = spread(values, 0.5)
    assert len(places) == len(values)
    assert all(b - a >= 0.5 - 1e-9 for a, b in itertools.pairwise(places))
    assert sum(places) == pytest.approx(sum(values))


def test_inline_figures_take_the_pages_colours() -> None:
    text = '<?xml?><svg width="72pt" viewBox="0 0 1 1" xmlns="x"><path style="fill: #1d2329; stroke: #123456"/></svg>'
    found = inline(text, "A <title>")
    assert "fill: var(--ink, #1d2329)" in found
    assert "stroke: #123456" in found
    assert 'aria-label="A &lt;title&gt;"' in found
    assert "width:96px" in found


def test_front_holds_what_nothing_beats() -> None:
    assert front([(1, 1), (2, 5), (3, 4), (4, 9), (1, 0)]) == [0, 1, 3]
    assert front([]) == []


def test_marks_carry_their_method_and_value() -> None:
    with styled():
        canvas = Canvas()
        axes = canvas.add_subplot()
        for label, value in (("a & 'b'", "lift < 3"), ("c", "")):
            (dot,) = axes.plot(1, 1, "o")
            mark(dot, label, "point", value)
    text = inline(svg(canvas, "salt"), "title", values(canvas))
    assert 'data-mark="a &amp; ' in text
    assert " data-stop><title>a &amp; " in text
    assert ": lift &lt; 3</title>" in text
    assert 'data-mark="c"><title>c</title>' in text, "without a value it is no stop of the keyboard"


def test_a_short_logarithmic_axis_has_several_numbers() -> None:
    axes = Canvas().add_subplot()
    log_axis(axes)
    axes.set_xlim(0.15, 3)
    inside = [tick for tick in axes.get_xticks() if 0.15 <= tick <= 3]
    assert inside == pytest.approx([0.2, 0.5, 1, 2])
