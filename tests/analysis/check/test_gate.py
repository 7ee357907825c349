"""Conditions: what they may be, and when they hold."""

from __future__ import annotations

import pytest

from benchmark.analysis.check.gate import judge, parse
from benchmark.analysis.check.values import LABELLED
from benchmark.analysis.check.verdict import CHEAPEST_FIRST
from benchmark.config.errors import UserError
from benchmark.results.image_intervals import Measured

VALUES = {"lift": Measured(1.5, -0.5, 3.5), "negative_flips": Measured(2.0, 1.0, 4.0)}


def holds(text, verdict="keep"):
    return judge(parse(text, LABELLED, CHEAPEST_FIRST), VALUES, verdict).holds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lift < 0", False),
        ("lift<2", True),
        (" lift.low < 0 ", True),
        ("lift.high >= 3.5", True),
        ("lift > 1.5", False),
        ("lift >= 1.5", True),
        ("lift <= -1e1", False),
        ("negative_flips == 2", True),
        ("negative_flips != 2", False),
        ("verdict == keep", True),
        ("verdict != keep", False),
        ("verdict != discard", True),
    ],
)
def test_when_it_holds(text, expected):
    assert holds(text) is expected


def test_what_is_not_known_does_not_pass():
    outcome = judge(parse("ece > 5", LABELLED, CHEAPEST_FIRST), VALUES, "")
    assert (outcome.holds, outcome.found) == (True, "ece is not known")


@pytest.mark.parametrize(
    ("text", "what", "fix"),
    [
        ("", "not a condition", "lift < 0"),
        ("lift", "not a condition", "lift < 0"),
        ("lift < ", "not a condition", "lift < 0"),
        ("lift < 0; import os", "not a condition", "lift < 0"),
        ("__import__('os') < 0", "not a condition", "lift < 0"),
        ("lift < zero", "'zero' is not a number", "lift < 0"),
        ("lift < nan", "'nan' is not a number", "lift < 0"),
        ("lifts < 0", "no value 'lifts'", "did you mean 'lift'"),
        ("verdict < keep", "not a condition on the verdict", "verdict == NAME"),
        ("verdict == kept", "not a condition on the verdict", "retrain"),
        ("verdict.low == keep", "not a condition on the verdict", "verdict == NAME"),
    ],
)
def test_what_is_refused(text, what, fix):
    with pytest.raises(UserError) as caught:
        parse(text, LABELLED, CHEAPEST_FIRST)
    assert what in str(caught.value)
    assert fix in str(caught.value)
