"""Sentences about the results of one upgrade."""

from __future__ import annotations

import pandas as pd
from fixtures.results import (
    METHODS,
    by_seed,
)

from benchmark.report import (
    numbers,
    table_prep,
    words,
)
from benchmark.report.method_rows import headline


def test_findings_state_the_data(results: pd.DataFrame) -> None:
    rows = [row for row in headline(results, "zero", METHODS) if row.pair == "v1->v2"]
    text = " ".join(words.findings(rows, table_prep.scope(results)))
    zero = by_seed(results, "zero", "reuse")
    lifts = {name: (by_seed(results, name, "reuse") - zero).mean() for name in ("prompt", "prompt-b", "adapter")}
    assert "zero, with no module, goes from H 61.5 to 66.5 (+5.0)." in text
    assert f"1 harms (adapter {numbers.signed(lifts['adapter'])})" in text
    shallow = numbers.signed((lifts["prompt"] + lifts["prompt-b"]) / 2)
    assert f"{shallow} over 2 shallow methods and {numbers.signed(lifts['adapter'])} over 1 deep method." in text
    assert "3 of 3 methods reach a higher H" in text
