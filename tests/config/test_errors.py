"""A mistake is one line, whatever is in it."""

from __future__ import annotations

import pytest

from benchmark.config.errors import UserError, did_you_mean


@pytest.mark.parametrize(
    ("where", "fix", "text"),
    [
        (None, None, "it is wrong"),
        ("pairs.yaml: seeds", None, "pairs.yaml: seeds: it is wrong"),
        (None, "do it right", "it is wrong (fix: do it right)"),
        ("here", "do it right", "here: it is wrong (fix: do it right)"),
    ],
)
def test_the_line_has_place_and_fix(where, fix, text):
    error = UserError("it\n is   wrong", where=where, fix=fix)
    assert str(error) == text
    assert error.exit_code == 2
    assert (error.where, error.fix) == (where, fix)


@pytest.mark.parametrize(
    ("name", "known", "text"),
    [
        ("coopp", {"coop": 1, "maple": 2}, "did you mean 'coop'?"),
        ("xyz", ["maple", "coop"], "known: coop, maple"),
        ("xyz", [], "known: none"),
    ],
)
def test_suggestions(name, known, text):
    assert did_you_mean(name, known) == text
