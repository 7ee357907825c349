"""The values of a check, by their definitions."""

from __future__ import annotations

import pytest
from fixtures.check import question

from benchmark.analysis.check.run import ask


@pytest.fixture(scope="module")
def found(bench):
    asked = question(bench, "coop")
    labels = []
    return asked, ask(asked, bench.store, labels.append), labels


def test_values(found):
    result = found[1]
    right = {name: result.option(name).predictions.right for name in ("zero-shot-old", "stay", "discard", "keep", "retrain")}
    values = result.values
    assert values["lift"].value == pytest.approx(100 * (right["keep"].mean() - right["discard"].mean()))
    assert values["lift_old"].value == pytest.approx(100 * (right["stay"].mean() - right["zero-shot-old"].mean()))
    assert values["gain"].value == pytest.approx(100 * (right["keep"].mean() - right["stay"].mean()))
    assert values["over_retrain"].value == pytest.approx(100 * (right["keep"].mean() - right["retrain"].mean()))
    assert values["negative_flips"].value == pytest.approx(100 * (right["stay"] & ~right["keep"]).mean())
    assert values["positive_flips"].value == pytest.approx(100 * (~right["stay"] & right["keep"]).mean())
    same = result.option("stay").predictions.predicted == result.option("keep").predictions.predicted
    assert values["agreement"].value == pytest.approx(100 * same.mean())
    assert all(value.low <= value.value <= value.high for name, value in values.items() if "ece" not in name)
