"""Reasons of tensors that do not fit are read as they were written."""

from __future__ import annotations

import pytest

from benchmark.method.shapes import Mismatch, parse_mismatch, shape_mismatch


def test_shapes_that_differ_are_named():
    assert shape_mismatch({"a": (2, 3)}, {"a": (2, 3)}) is None
    assert shape_mismatch({"a": (2, 3)}, {"a": (2, 4)}) == "a is 2 x 4 in the module but must be 2 x 3"
    assert shape_mismatch({"a": ()}, {}) == "a is absent in the module but must be a scalar"


@pytest.mark.parametrize("end", ["", " on new on top"])
@pytest.mark.parametrize(("given", "needed"), [((2, 4), (2, 3)), ((8,), ()), (None, (5,)), ((5,), None)])
def test_what_was_written_is_read(given, needed, end):
    shapes = [{} if shape is None else {"map.0 is odd": shape} for shape in (needed, given)]
    assert parse_mismatch(f"{shape_mismatch(*shapes)}{end}") == Mismatch("map.0 is odd", given, needed)


@pytest.mark.parametrize(
    "reason", ["", "boom", "a is 2 x in the module but must be 3", "it is in the module but must be on v2"]
)
def test_other_reasons_are_not(reason):
    assert parse_mismatch(reason) is None
