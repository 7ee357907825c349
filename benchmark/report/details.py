"""Every value by data set, packed for the page's script, which filters and shows them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from benchmark.report import table_prep
from benchmark.report.numbers import arrow
from benchmark.report.table_prep import Prepared
from benchmark.results.metric import find_metric
from benchmark.results.summary import column, extra_metrics

TEXTS = ("pair", "method", "dataset", "tested on", "protocol", "split")
VALUES = {"old": "old", "reuse": "reuse", "retrain": "retrain", "zs_new": "zero-shot new", "lift": "lift"}
"""Columns of accuracies and their names on the page; other metrics of reuse follow."""


def packed(prepared: Prepared) -> str:
    """JSON of the means over seeds: columns, the words of each column of texts, and rows of places and values.

    It is put into a script element, so it holds no "<".
    """
    results, table = prepared.results, prepared.table
    keys = ["pair", "method", "config", "dataset", "test_set", "protocol", "split"]
    values = VALUES | {
        column(metric, strategy): label_of(metric) for metric, strategy in extra_metrics(results) if strategy == "reuse"
    }
    if table.empty:
        means = pd.DataFrame(columns=[*keys, *values])
    else:
        means = table.groupby(keys, sort=False)[list(values)].mean().reset_index()
    words: list[dict[str, int]] = [{} for _ in TEXTS]
    rows = []
    for row in means.to_dict("records"):
        texts = _texts(row)
        places = [known.setdefault(text, len(known)) for known, text in zip(words, texts, strict=True)]
        rows.append([*places, *(_number(row[name]) for name in values)])
    content = {"texts": TEXTS, "values": list(values.values()), "words": [list(known) for known in words], "rows": rows}
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")


def label_of(metric: str) -> str:
    """What the page calls a metric; its name if this version does not know it."""
    known = find_metric(metric)
    return known.label if known else metric


def _texts(row: Mapping[Any, Any]) -> tuple[str, ...]:
    dataset, test_set = str(row["dataset"]), str(row["test_set"])
    return (
        arrow(row["pair"]),
        table_prep.label(str(row["method"]), str(row["config"])),
        dataset,
        test_set or dataset,
        str(row["protocol"]),
        str(row["split"]),
    )


def _number(value: float) -> float | None:
    return round(float(value), 2) if math.isfinite(value) else None
