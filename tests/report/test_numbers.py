"""Numbers and lists as people read them, and as files have them."""

from __future__ import annotations

import math

import pytest

from benchmark.report import numbers


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.25, "+1.2"), (-1.25, "\N{MINUS SIGN}1.2"), (-0.01, "0.0"), (0.0, "0.0"), (math.nan, numbers.DASH)],
)
def test_signed(value: float, text: str) -> None:
    assert numbers.signed(value) == text


@pytest.mark.parametrize(("value", "text"), [(-1.25, "-1.2"), (-0.01, "0.0"), (3, "3.0"), (math.nan, ""), (math.inf, "")])
def test_numbers_of_files_have_ascii_signs(value: float, text: str) -> None:
    assert numbers.ascii_number(value) == text


def test_texts_of_files_have_ascii_signs() -> None:
    assert numbers.ascii_text("v1 → v2: −1.0") == "v1->v2: -1.0"
    assert numbers.ascii_text(numbers.DASH) == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (119.9, "119.9 s"), (120, "2.0 min"), (7199, "120.0 min"), (7200, "2.0 h"), (math.nan, numbers.DASH)],
)
def test_durations_change_their_unit(seconds: float, text: str) -> None:
    assert numbers.duration(seconds) == text


def test_lists_and_counts() -> None:
    assert [numbers.listing(items) for items in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == [
        "",
        "a",
        "a and b",
        "a, b and c",
    ]
    assert [numbers.plural(count, "seed") for count in (0, 1, 2)] == ["0 seeds", "1 seed", "2 seeds"]
    assert (numbers.count(1234.0), numbers.count(math.nan)) == ("1,234", numbers.DASH)


def test_upgrades() -> None:
    assert numbers.arrow("v1->v2") == "v1 → v2"
