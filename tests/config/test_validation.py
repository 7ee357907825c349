"""From pydantic's errors to one line with a place and a fix."""

from __future__ import annotations

import pytest

from benchmark.config.errors import UserError
from benchmark.config.schema import Strict
from benchmark.config.validation import check


class Inner(Strict):
    """A model in a model."""

    rate: float = 1.0


class Outer(Strict):
    """With all kinds of keys."""

    name: str
    inner: tuple[Inner, ...] = ()
    count: int = 0


def test_what_is_right():
    assert check(Outer, {"name": "x", "count": 3}, where="here") == Outer(name="x", count=3)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ({"nmae": "x"}, "here: nmae: unknown key 'nmae' (fix: did you mean 'name'?)"),
        ({}, "here: name: key 'name' is missing (fix: add 'name')"),
        ({"name": "x", "zzz": 1}, "here: zzz: unknown key 'zzz' (fix: known keys: count, inner, name, rate)"),
        (
            {"name": "x", "inner": ({"rat": 1.0},)},
            "here: inner[0].rat: unknown key 'rat' (fix: did you mean 'rate'?)",
        ),
        ({"name": "x", "count": "3"}, "here: count: Input should be a valid integer (fix: you gave '3')"),
    ],
)
def test_what_is_wrong(content, line):
    with pytest.raises(UserError) as caught:
        check(Outer, content, where="here")
    assert str(caught.value) == line


def test_a_long_value_is_cut():
    with pytest.raises(UserError) as caught:
        check(Outer, {"name": "x", "count": "9" * 1000}, where="here")
    assert len(str(caught.value)) < 250
