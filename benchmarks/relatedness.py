"""Does relatedness predict the lift of a reused module? ``python benchmarks/relatedness.py FILE.csv [FILE.csv ...]``.

Reads what ``benchmarks/offsets.py`` measured with ``--old v1,v2,v3,v4,v5`` and prints, for each method and each measure of
two backbones, Spearman's correlation with lift over the ordered pairs. Intervals are from a bootstrap over unordered pairs,
whose two directions are not independent; the pairs share backbones, so they are still too narrow.
"""

from __future__ import annotations

import sys
from itertools import permutations

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from benchmark.analysis import activations
from benchmark.analysis.analyses import drift
from benchmark.api import load_backbone
from benchmark.data.features import FeatureStore
from benchmark.data.task import BASE_TO_NEW, TaskId, make_task
from benchmark.experiment.loading import splits_of
from benchmark.method import registry
from benchmark.method.passage import Passage

GROUP = ["dataset", "seed", "old", "new"]
SHOWN = "icon-objects"
"""Its class names and test images are what drift is measured on."""
RESAMPLES = 2000


def main() -> None:
    tables = [pd.read_csv(file, keep_default_na=False) for file in sys.argv[1:]]
    rows = pd.concat(tables).drop_duplicates([*GROUP, "method", "carry"])
    rows = rows[rows.old != rows.new]
    complete = (
        rows.groupby(["dataset", "seed"]).old.transform("nunique") == rows.old.nunique()
    )  # no data set counts for some
    rows = rows[complete]
    zero = rows[rows.method == "zero-shot"].set_index(GROUP).h.rename("zero")
    rows = rows[rows.method != "zero-shot"].join(zero, on=GROUP)
    lifts = rows.assign(lift=rows.h - rows.zero).groupby(["method", "carry", "old", "new"]).lift.mean()
    lifts = lifts[lifts.groupby(level="method").transform("size") >= lifts.index.droplevel([0, 1]).nunique()]
    known = measures(sorted(set(rows.old) | set(rows.new)))
    print(f"{known.shape[0]} ordered pairs; {', '.join(sorted(set(rows.dataset)))}; {rows.seed.nunique()} seeds\n")
    print(f"| method | carried | {' | '.join(known)} |")
    print("|---|---|" + "---:|" * len(known.columns))
    for (method, carry), part in lifts.groupby(level=["method", "carry"]):
        of_pair = part.droplevel(["method", "carry"])
        print(f"| {method} | {carry} | {' | '.join(_correlation(known[name], of_pair) for name in known)} |")


def measures(names: list[str]) -> pd.DataFrame:
    """Of every ordered pair of backbones."""
    backbones = {name: load_backbone(f"bundled:{name}") for name in names}
    chosen, store = registry.datasets()[SHOWN].cls(None), FeatureStore(None)
    task = make_task(chosen, splits_of(chosen), TaskId(SHOWN, BASE_TO_NEW, min(16, chosen.shots), 1))
    found = {}
    for old, new in permutations(names, 2):
        passage = Passage(lambda old=old: backbones[old], backbones[new])  # type: ignore[misc]
        rows = drift.rows_of("", backbones[old], backbones[new], task, store)
        values = {(tower, stage, metric): float(str(value)) for _, tower, _, stage, metric, value, _ in rows}
        blocks = [
            v for (tower, stage, what), v in values.items() if (tower, what) == ("text", "change") and "block" in stage
        ]
        found[old, new] = {
            "relatedness": passage.relatedness,
            "of joint spaces": passage.joint_relatedness,
            "text CKA": values["text", activations.OUTPUT, "cka"],
            "image CKA": values["vision", activations.OUTPUT, "cka"],
            "text weights' change": -float(np.mean(blocks)) if blocks else float("nan"),
        }
    return pd.DataFrame(found).T.rename_axis(["old", "new"])


def _correlation(measure: pd.Series[float], lift: pd.Series[float]) -> str:
    both = pd.concat([measure.rename("measure"), lift.rename("lift")], axis=1).dropna()
    pairs = [part.to_numpy() for _, part in both.groupby([frozenset(index) for index in both.index])]
    rng = np.random.default_rng(0)
    drawn = [
        _spearman(np.concatenate([pairs[i] for i in rng.integers(len(pairs), size=len(pairs))])) for _ in range(RESAMPLES)
    ]
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return f"{_spearman(both.to_numpy()):+.2f} [{low:+.2f}, {high:+.2f}]"


def _spearman(columns: np.ndarray) -> float:
    """Rank correlation of two columns (N, 2)."""
    return float(np.corrcoef(rankdata(columns, axis=0), rowvar=False)[0, 1])


if __name__ == "__main__":
    main()
