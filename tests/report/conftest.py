"""The made-up run as tables."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from fixtures.results import DATASETS, LIFTS, PAIRS, SEEDS, cell

from benchmark.results import summary


@pytest.fixture(scope="module")
def results() -> pd.DataFrame:
    rng = np.random.default_rng(7)
    names = itertools.product(PAIRS, LIFTS, DATASETS, SEEDS, ("old", "reuse", "retrain"))
    rows = [row for name in names if name[1] != "zero" or name[4] != "retrain" for row in cell(rng, *name)]
    return pd.DataFrame(rows, columns=summary.COLUMNS)


@pytest.fixture(scope="module")
def runs() -> pd.DataFrame:
    rows = [
        {"key": f"k{i}", "kind": "train", "method": "prompt", "config": "default", "backbone": "v1", "dataset": "icons"}
        | {"protocol": "domain", "seed": i, "status": status, "seconds": seconds}
        | {"peak_mb": 300 + i, "parameters": 1024 + 512 * i}
        for i, (seconds, status) in enumerate([(1.0, "ok"), (2.0, "ok"), (9.0, "ok"), (99.0, "failed")])
    ]
    return pd.DataFrame(rows)
