"""A mistake is one line, whatever is in it."""

from __future__ import annotations

import pytest

from benchmark.config.errors import LONGEST, UserError, clean, did_you_mean


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


class Silent(Exception):
    def __str__(self) -> str:
        raise KeyError("no text")


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("two\nlines\tand a tab", "two lines and a tab"),
        ("a lone \ud800 surrogate", "a lone ? surrogate"),
        ("\x1b[31mred\x1b[0m", "[31mred [0m"),
        (Silent(), "an error whose text cannot be made (KeyError)"),
        ("", ""),
    ],
)
def test_texts_are_cleaned(message, text):
    assert clean(message) == text


def test_long_texts_are_cut():
    text = clean("x" * 10**7)
    assert len(text) == LONGEST
    assert text.endswith("...")


def test_a_message_is_short_whatever_it_quotes():
    line = str(UserError("x" * 10**6, where="\x1b[31m here", fix="y" * 10**6))
    assert len(line) < 2 * LONGEST + 10
    assert line.startswith("[31m here: xxx")
