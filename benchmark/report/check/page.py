"""The page of a check: the answer, the options, the values, and the images that change sides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from benchmark.analysis.check.gate import Outcome
from benchmark.analysis.check.options import Option
from benchmark.analysis.check.result import CheckResult
from benchmark.report import templating
from benchmark.report.check import content, words
from benchmark.report.check.gallery import gallery
from benchmark.report.numbers import DASH, count, duration, number
from benchmark.results.image_intervals import Measured, share

WIDTH = 220
"""Of a drawn interval, in pixels."""
CLASSES = 12
"""Classes of the table of flips that are shown at once."""


class OptionRow(NamedTuple):
    """A line of the table of options."""

    label: str
    kind: str
    state: str
    """chosen, tied, worse, not measured, or empty for what takes no part in the verdict."""
    accuracy: str
    drawn: str
    held_out: str
    takes: str
    reason: str


def page(result: CheckResult, outcomes: Sequence[Outcome]) -> str:
    """The page as text; it loads nothing."""
    told = content.content(result, outcomes)
    flips = result.flips
    context: dict[str, Any] = {
        "told": told,
        "about": result.about,
        "labelled": result.labelled,
        "headline": words.headline(result),
        "sentences": words.sentences(result),
        "seedless": words.SEEDLESS,
        "options": _options(result) if result.labelled else [],
        "not_applicable": words.not_applicable(result),
        "values": [(name, words.cell(v, sign=_signed(name)), content.WHAT[name]) for name, v in result.values.items()],
        "classes": told["flips"]["by_class"] if told["flips"] else [],
        "first": CLASSES,
        "lost": gallery(result, flips.lost) if flips else [],
        "won": gallery(result, flips.won) if flips else [],
        "lost_count": len(flips.lost) if flips else 0,
        "won_count": len(flips.won) if flips else 0,
        "outcomes": outcomes,
        "notes": _notes(result),
        "css": templating.text("style.css") + templating.text("check.css"),
        "script": templating.text("theme.js") + templating.text("scroll.js"),
    }
    return templating.environment().get_template("check.html.j2").render(context)


def _notes(result: CheckResult) -> list[str]:
    """What must be known of the backbones."""
    about = result.about
    return [text for text in dict.fromkeys((about.get("note"), about["old"].get("note"), about["new"].get("note"))) if text]


def _signed(name: str) -> bool:
    return name in ("lift", "lift_old", "gain", "over_retrain")


def _options(result: CheckResult) -> list[OptionRow]:
    verdict = result.verdict
    assert verdict is not None
    states = {id(option): "worse" for option in verdict.worse} | {id(option): "tied" for option in verdict.tied}
    states[id(verdict.choice)] = "advised"
    known = {o.name: share(o.predictions.right, result.groups) for o in result.options if o.predictions is not None}
    low, high = min(v.low for v in known.values()), max(v.high for v in known.values())
    rows = []
    for option in result.options:
        if not option.measured and option.kind in ("repair", "both"):
            continue
        value = known.get(option.name)
        rows.append(
            OptionRow(
                option.label,
                option.kind,
                states.get(id(option), _state(option)),
                words.cell(value),
                _drawn(value, low, high),
                DASH if option.held_out is None else number(option.held_out),
                _takes(option),
                option.reason,
            )
        )
    return rows


def _state(option: Option) -> str:
    """Of an option that takes no part in the verdict."""
    if not option.measured:
        return "not measured"
    return "control" if option.control or option.kind == "reference" else ""


def _drawn(value: Measured | None, low: float, high: float) -> str:
    """An interval with its middle as a small drawing."""
    if value is None:
        return ""
    left, middle, right = (
        6 + (WIDTH - 12) * (part - low) / max(high - low, 1e-9) for part in (value.low, value.value, value.high)
    )
    return (
        f'<svg width="{WIDTH}" height="14" aria-hidden="true"><line x1="{left:.1f}" x2="{right:.1f}" y1="7" y2="7"/>'
        f'<circle cx="{middle:.1f}" cy="7" r="4"/></svg>'
    )


def _takes(option: Option) -> str:
    parts = []
    if option.labels:
        parts.append(f"{count(option.labels)} labels")
    elif option.images:
        parts.append(f"{count(option.images)} images")
    if option.steps:
        parts.append(f"{count(option.steps)} steps")
    if option.measured and (parts or option.seconds >= 0.1):
        parts.append(duration(option.seconds))
    if option.keeps:
        parts.append(f"{option.keeps} in use")
    return ", ".join(parts)
