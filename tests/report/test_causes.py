"""The cause of a cell without a value comes from shapes and from the sizes of the backbones."""

from __future__ import annotations

import pytest

from benchmark.method.shapes import shape_mismatch
from benchmark.report.causes import cause

OLD = {"embed_dim": 128, "text_width": 128, "context_length": 32}
NARROW = {"embed_dim": 96, "text_width": 128, "context_length": 24}
WIDE = {"embed_dim": 192, "text_width": 192, "context_length": 32}
OTHER = {"embed_dim": 96, "text_width": 64, "context_length": 32}
EMBEDDING, ARROW = "embedding width 128 → 96", "→"


def reason(given, needed):
    shapes = [{} if shape is None else {"x.weight": shape} for shape in (needed, given)]
    return f"{shape_mismatch(*shapes)} on new"


@pytest.mark.parametrize(
    ("given", "needed", "new", "expected"),
    [
        ((25, 128), (25, 96), NARROW, EMBEDDING),
        ((8,), (6,), NARROW, EMBEDDING),  # a sixteenth of it; not the context length, of which layers have no part
        ((32, 128), (24, 96), NARROW, EMBEDDING),  # a quarter of it, not the context length
        ((32,), (24,), NARROW, "context length 32 → 24"),
        ((4, 128), (4, 192), WIDE, "embedding width 128 → 192, text width 128 → 192"),
        ((128, 128), (96, 64), OTHER, "embedding width 128 → 96, text width 128 → 64"),
        ((4, 128), (4, 64), OTHER, "text width 128 → 64"),
        ((4, 128), (5, 96), NARROW, "a tensor is 4 x 128 in the module but must be 5 x 96 on new"),
        ((4, 128), (4, 96), {}, "a tensor is 4 x 128 in the module but must be 4 x 96 on new"),
        ((128,), (1, 96), NARROW, "a tensor is 128 in the module but must be 1 x 96 on new"),
        (None, (128,), OLD, "the new backbone needs a tensor that the module does not have"),
        ((128,), None, OLD, "the module has a tensor that the new backbone has no place for"),
    ],
)
def test_the_cause_of_a_shape(given, needed, new, expected):
    assert cause(reason(given, needed), OLD, new) == expected


def test_other_reasons_stay():
    assert cause("out of memory", OLD, NARROW) == "out of memory"
    assert cause("", OLD, NARROW) == "no reason recorded"
