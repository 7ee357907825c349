"""Differences of outcomes, and what a user may choose of a YAML."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest

from benchmark.analysis import study
from benchmark.config.errors import UserError
from benchmark.results.paired import Outcome

GROUPS = {"base": np.arange(4), "new": np.arange(2)}
ONE = Outcome({"base": np.array([[1, 1, 0, 1], [1, 0, 0, 1]], float), "new": np.array([[1, 0], [0, 1]], float)}, GROUPS)
OTHER = Outcome({"base": np.array([[0, 1, 0, 1], [0, 1, 1, 0]], float), "new": np.array([[1, 1], [1, 0]], float)}, GROUPS)


def test_means_and_differences_by_hand():
    """H of one: 60 and 50. H of the other: 200 / 3 and 50."""
    assert study.mean(ONE) == pytest.approx(55.0)
    assert study.mean(ONE, "base") == pytest.approx(62.5)
    assert study.gap(ONE, OTHER)[0] == pytest.approx(55 - (200 / 3 + 50) / 2)
    value, low, high = study.summed([(1, ONE), (-1, OTHER), (-1, ONE), (1, OTHER)])
    assert (value, low, high) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("missing", [None, Outcome({"base": ONE.right["base"]}, GROUPS)])
def test_what_is_missing_is_not_a_number(missing):
    assert math.isnan(study.mean(missing))
    assert all(math.isnan(value) for value in study.gap(ONE, missing))


SPEC = SimpleNamespace(pairs=lambda: [("v1", "v2"), ("v1", "v3")])


@pytest.mark.parametrize("written", ["v1->v3", "v1 → v3", "v1 -> v3"])
def test_an_upgrade_may_be_written_with_either_arrow(written):
    assert study._upgrades(SPEC, [written]) == ({"old": "v1", "new": ("v3",)},)


def test_an_unknown_upgrade_is_refused():
    with pytest.raises(UserError, match="not an upgrade of the YAML"):
        study._upgrades(SPEC, ["v2->v3"])


def test_data_sets_are_taken_in_the_order_of_the_yaml():
    names = ["digits", "icon-objects", "letters"]
    assert study._in_order(["letters", "icon-*", "all"], names) == ["letters", "icon-objects", "digits"]
