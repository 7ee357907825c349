"""The packed table of every value."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from fixtures.results import by_seed

from benchmark.report import details
from benchmark.report.table_prep import prepare
from benchmark.results import summary


def test_packed_values_are_means_over_seeds(results: pd.DataFrame) -> None:
    content = json.loads(details.packed(prepare(results, "zero")))
    texts = content["texts"]
    assert texts == ["pair", "method", "dataset", "tested on", "protocol", "split"]
    assert content["values"][:5] == ["old", "reuse", "retrain", "zero-shot new", "lift"]
    assert {"negative flips", "calibration error (ECE)"} <= set(content["values"])
    wanted = ["v1 → v2", "prompt", "icons", "icons", "base-to-new", "H"]
    places = [words.index(word) for words, word in zip(content["words"], wanted, strict=True)]
    (row,) = [row for row in content["rows"] if row[: len(texts)] == places]
    for place, strategy in enumerate(("old", "reuse", "retrain")):
        expected = by_seed(results, "prompt", strategy, dataset="icons").mean()
        assert row[len(texts) + place] == pytest.approx(expected, abs=0.005)


def test_what_is_missing_is_null_and_nothing_closes_the_script(results: pd.DataFrame) -> None:
    text = details.packed(prepare(results.assign(config="</script>"), "zero"))
    assert "<" not in text
    rows = json.loads(text)["rows"]
    assert any(None in row for row in rows), "the adapter has no value on v5"
    assert json.loads(details.packed(prepare(pd.DataFrame(columns=summary.COLUMNS), "zero")))["rows"] == []
