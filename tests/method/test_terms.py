"""The spaces of a tensor's axes."""

from __future__ import annotations

from benchmark.method.terms import axes_of


def test_the_first_pattern_that_matches_decides():
    spaces = {"out.weight": ("tokens", ""), "*.weight": ("", "tokens"), "context": ("", "tokens")}
    assert axes_of("out.weight", spaces) == ("tokens", "")
    assert axes_of("key.weight", spaces) == ("", "tokens")
    assert axes_of("gain", spaces) is None
