"""Numbers and lists as people read them: the same in the page, its files and the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

MINUS = "\N{MINUS SIGN}"
DASH = "\N{EN DASH}"


def number(value: object, digits: int = 1) -> str:
    """A number with ``digits`` decimals, or a dash; zero has no sign."""
    if not isinstance(value, int | float) or not math.isfinite(value):
        return DASH
    text = f"{value:.{digits}f}"
    return text[1:] if float(text) == 0 and text.startswith("-") else text.replace("-", MINUS)


def ascii_number(value: float, digits: int = 1) -> str:
    """A number for machine-readable files: an ASCII minus sign, and empty if it is missing."""
    return number(value, digits).replace(MINUS, "-") if math.isfinite(value) else ""


def ascii_text(text: str) -> str:
    """A text for machine-readable files: ASCII minus signs and arrows, and empty for the dash of a missing value."""
    return "" if text == DASH else text.replace(MINUS, "-").replace(" \N{RIGHTWARDS ARROW} ", "->")


def signed(value: float, digits: int = 1) -> str:
    """A difference with its sign; none for zero."""
    text = number(value, digits)
    return f"+{text}" if math.isfinite(value) and float(text.replace(MINUS, "-")) > 0 else text


def count(value: float) -> str:
    """An integer with commas between thousands, or a dash."""
    return f"{value:,.0f}" if math.isfinite(value) else DASH


def duration(seconds: float) -> str:
    """Seconds in a readable unit, or a dash."""
    if not math.isfinite(seconds):
        return DASH
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def listing(items: Sequence[str]) -> str:
    """a, b and c."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}" if items else ""


def plural(number_of: int, noun: str) -> str:
    return f"{number_of} {noun}" if number_of == 1 else f"{number_of} {noun}s"


def arrow(pair: object) -> str:
    """An upgrade as the report writes it."""
    return str(pair).replace("->", " \N{RIGHTWARDS ARROW} ")
