"""The made-up run as tables."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fixtures.results import LIFTS, PAIRS, SEEDS, made_up_results, page, result

from benchmark.results import summary


@pytest.fixture(scope="session")
def results() -> pd.DataFrame:
    return made_up_results()


@pytest.fixture(scope="session")
def runs() -> pd.DataFrame:
    rows = [
        {"key": f"k{i}", "kind": "train", "method": "prompt", "config": "default", "backbone": "v1", "dataset": "icons"}
        | {"protocol": "domain", "seed": i, "status": status, "seconds": seconds}
        | {"peak_mb": 300 + i, "parameters": 1024 + 512 * i}
        for i, (seconds, status) in enumerate([(1.0, "ok"), (2.0, "ok"), (9.0, "ok"), (99.0, "failed")])
    ]
    return pd.DataFrame(rows)


def figures_of(base: float, rng: np.random.Generator, methods: tuple[str, ...], **change: Any) -> list[dict[str, Any]]:
    """Accuracies of all classes of some methods on the first pair, three seeds."""
    return [
        result(PAIRS[0], method, "icons", seed, strategy, split="all", value=value) | change
        for method, seed, (strategy, more) in itertools.product(methods, SEEDS, {"old": 0, "reuse": 5, "retrain": 9}.items())
        for value in [base + more + LIFTS[method] + (float(rng.normal(0, 0.4)) if method != "zero" else 0)]
        if method != "zero" or strategy != "retrain"
    ]


@pytest.fixture(scope="session")
def shots() -> pd.DataFrame:
    """Few-shot with 1, 4 and 16 shots, the rows out of order; the adapter does not fit with one shot."""
    rng = np.random.default_rng(3)
    methods = ("zero", "prompt", "adapter")
    rows = [
        row
        for count in (4, 16, 1)
        for row in figures_of(50 + count, rng, methods, protocol="few-shot", shots=count)
        if not (count == 1 and row["method"] == "adapter" and row["strategy"] != "old")
    ]
    lost = {"protocol": "few-shot", "shots": 1, "status": "oom", "reason": "full", "split": "all"}
    rows += [result(PAIRS[0], "adapter", "icons", seed, "reuse", **lost) for seed in SEEDS]
    return pd.DataFrame(rows, columns=summary.COLUMNS)


@pytest.fixture(scope="session")
def cross() -> pd.DataFrame:
    """Modules of icons on icons, digits and letters."""
    rng = np.random.default_rng(4)
    methods = ("zero", "prompt", "adapter")
    rows = [
        row
        for test_set, base in (("", 60), ("digits", 30), ("letters", 20))
        for row in figures_of(base, rng, methods, protocol="cross-dataset", test_set=test_set)
    ]
    return pd.DataFrame(rows, columns=summary.COLUMNS)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages without drawings, which take most of the time."""
    monkeypatch.setattr("benchmark.report.page._drawings", lambda *_: [])


@pytest.fixture(scope="session")
def text(results: pd.DataFrame, runs: pd.DataFrame) -> str:
    """The page of all results."""
    return page(results, runs)
