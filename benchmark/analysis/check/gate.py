"""Conditions under which a check fails, such as ``lift < 0``: a name, a comparison, and a number or a verdict."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmark.config.errors import UserError, did_you_mean
from benchmark.results.image_intervals import Measured

COMPARISONS: dict[str, Callable[[object, object], bool]] = {
    "<": operator.lt,  # type: ignore[dict-item]
    "<=": operator.le,  # type: ignore[dict-item]
    ">": operator.gt,  # type: ignore[dict-item]
    ">=": operator.ge,  # type: ignore[dict-item]
    "==": operator.eq,
    "!=": operator.ne,
}
GRAMMAR = re.compile(r"\s*([a-z_]+)(?:\.(low|high))?\s*(<=|>=|==|!=|<|>)\s*(\S+)\s*")
VERDICT = "verdict"


@dataclass(frozen=True)
class Condition:
    """One of them."""

    text: str
    name: str
    part: str
    """low, high, or empty for the value."""
    comparison: str
    limit: float | str


@dataclass(frozen=True)
class Outcome:
    """Whether a condition holds; one whose value is not known holds, so that nothing passes by being incompatible."""

    condition: Condition
    holds: bool
    found: str
    """What was found, or why nothing was."""


def parse(text: str, values: Mapping[str, str], verdicts: tuple[str, ...]) -> Condition:
    """A condition as the user wrote it.

    Args:
        text: Such as ``lift < 0``, ``lift.low < -2`` or ``verdict == discard``.
        values: Names that a condition may have.
        verdicts: Values of ``verdict``.

    Raises:
        UserError: it is not valid.
    """
    where = f"--fail-if {text!r}"
    match = GRAMMAR.fullmatch(text)
    if match is None:
        fix = 'write a name, a comparison and a number, such as "lift < 0" or "negative_flips > 2"'
        raise UserError("not a condition", where=where, fix=fix)
    name, part, comparison, limit = match.groups()
    if name == VERDICT:
        if part or comparison not in ("==", "!=") or limit not in verdicts:
            fix = f'write "verdict == NAME" or "verdict != NAME", where NAME is {", ".join(verdicts)}'
            raise UserError("not a condition on the verdict", where=where, fix=fix)
        return Condition(text.strip(), name, "", comparison, limit)
    if name not in values:
        raise UserError(f"there is no value {name!r}", where=where, fix=did_you_mean(name, [*values, VERDICT]))
    try:
        number = float(limit)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise UserError(f"{limit!r} is not a number", where=where, fix='write one, such as "lift < 0"')
    return Condition(text.strip(), name, part or "", comparison, number)


def judge(condition: Condition, values: Mapping[str, Measured], verdict: str) -> Outcome:
    """Whether a condition holds."""
    compare = COMPARISONS[condition.comparison]
    if condition.name == VERDICT:
        return Outcome(condition, compare(verdict, condition.limit), f"the verdict is {verdict}")
    known = values.get(condition.name)
    number = math.nan if known is None else float(getattr(known, condition.part or "value"))
    if not math.isfinite(number):
        return Outcome(condition, True, f"{condition.name} is not known")
    name = f"{condition.name}.{condition.part}" if condition.part else condition.name
    return Outcome(condition, compare(number, condition.limit), f"{name} is {number:.2f}")
