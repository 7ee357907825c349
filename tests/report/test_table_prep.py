"""What the headline is about, and the protocols by their shots."""

from __future__ import annotations

import pandas as pd

from benchmark.report import (
    table_prep,
)


def test_numbers_of_shots(shots: pd.DataFrame) -> None:
    assert [scope.protocol for scope in table_prep.few_shots(shots)] == [
        "few-shot, 1 shot",
        "few-shot, 4 shots",
        "few-shot, 16 shots",
    ]
    assert [scope.protocol for scope in table_prep.few_shots(table_prep.clean(shots))] == [
        scope.protocol for scope in table_prep.few_shots(shots)
    ]
    assert table_prep.few_shots(shots.iloc[:0]) == []


PROTOCOLS = ["few-shot, 16 shots", "few-shot, 4 shots", "few-shot, 1 shot", "domain", "cross-dataset"]


def test_the_headline_takes_the_first_protocol_that_was_run(
    results: pd.DataFrame, shots: pd.DataFrame, cross: pd.DataFrame
) -> None:
    every = table_prep.clean(pd.concat([cross, results, shots]))
    for wanted in ["base-to-new", *PROTOCOLS]:
        assert table_prep.scope(every).protocol == wanted
        every = every[every.protocol != wanted]
