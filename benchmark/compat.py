"""Compatibility figures from the tidy results: what happens to a module when the backbone under it is replaced.

For a pair O -> N: ``old`` is trained and tested on O, ``reuse`` is trained on O and tested on N, ``retrain`` is trained and
tested on N; the zero-shot rows of the same table give the two controls. All accuracies are in per cent, all differences
in percentage points.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd
from scipy import stats

COLUMNS = (
    "pair old new method config dataset variant protocol split shots seed strategy metric value n status reason".split()
)
"""Columns of results.csv, in order. One row is one figure of one cell; a cell without figures has one row with its status.

``strategy`` is old, reuse or retrain. ``split`` is base, new, all, or H: for accuracy the harmonic mean of base and new,
for flips the images of both. ``metric`` is accuracy, negative_flip or positive_flip. ``variant`` names a shifted test set
and is empty otherwise.
"""

EQUIVALENCE = 1.0
"""Points of lift that count as no effect."""
CONFIDENCE = 0.95
VERDICTS = ("helps", "no effect", "harms", "undecided", "does not fit", "no result")


def harmonic_mean(base: float, new: float) -> float:
    """H = 2 base new / (base + new); 0 where both are 0 (CoCoOp, section 4.1)."""
    return 0.0 if base + new == 0 else 2 * base * new / (base + new)


def flips(before: np.ndarray, after: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """(negative, positive) flip rates in per cent of all images: right before and wrong after, and the reverse.

    Source: Yan et al. 2021, "Positive-Congruent Training", equation 1.
    """
    was, now = before == labels, after == labels
    return float(100 * np.mean(was & ~now)), float(100 * np.mean(~was & now))


def interval(values: Collection[float]) -> tuple[float, float]:
    """95 % t-interval of the mean of per-seed figures; it covers new seeds, not new data sets. NaN with one seed."""
    array = np.asarray([value for value in values if np.isfinite(value)], dtype=float)
    if len(array) < 2:
        return (float("nan"), float("nan"))
    half = stats.t.ppf(0.5 + CONFIDENCE / 2, len(array) - 1) * array.std(ddof=1) / np.sqrt(len(array))
    return float(array.mean() - half), float(array.mean() + half)


def verdict(low: float, high: float, statuses: Collection[str] = ()) -> str:
    """What an interval of lift says, in two words."""
    if not np.isfinite(low):
        return "does not fit" if "unfit" in statuses else "no result" if statuses else "undecided"
    if low > EQUIVALENCE:
        return "helps"
    if high < -EQUIVALENCE:
        return "harms"
    if low >= -EQUIVALENCE and high <= EQUIVALENCE:
        return "no effect"
    return "helps" if low > 0 else "harms" if high < 0 else "undecided"


def accuracies(results: pd.DataFrame) -> pd.DataFrame:
    """One row per (pair, method, config, dataset, variant, protocol, split, seed): accuracies old, reuse and retrain, and
    the flips of reuse."""
    keys = ["pair", "method", "config", "dataset", "variant", "protocol", "split", "seed"]
    figures = results[(results.status == "ok")]
    wide = figures[figures.metric == "accuracy"].pivot_table(index=keys, columns="strategy", values="value")
    for name in ("old", "reuse", "retrain"):
        if name not in wide:
            wide[name] = np.nan
    for name in ("negative_flip", "positive_flip"):
        wide[name] = figures[(figures.metric == name) & (figures.strategy == "reuse")].set_index(keys).value
    return wide.reset_index()


def with_controls(table: pd.DataFrame, control: str) -> pd.DataFrame:
    """``accuracies`` with the zero-shot figures of the method ``control`` beside every row, and lift and gain."""
    keys = ["pair", "dataset", "variant", "protocol", "split", "seed"]
    zero = table[table.method == control].set_index(keys)[["old", "reuse", "negative_flip", "positive_flip"]]
    zero.columns = pd.Index(["zs_old", "zs_new", "zs_negative_flip", "zs_positive_flip"])
    joined = table.join(zero, on=keys)
    joined["lift"] = joined.reuse - joined.zs_new
    joined["gain"] = joined.reuse - joined.old
    joined["retrain_lift"] = joined.retrain - joined.zs_new
    return joined


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """One row per (pair, method, config, protocol, variant, split): means over data sets and seeds, the interval of lift
    over seeds, and the share of the retrained lift that reuse retains (NaN where retraining itself lifts by less than
    a point, or may)."""
    rows = []
    keys = ["pair", "method", "config", "protocol", "variant", "split"]
    figures = ["old", "reuse", "retrain", "zs_old", "zs_new", "lift", "gain", "negative_flip", "positive_flip"]
    figures += ["zs_negative_flip", "zs_positive_flip", "retrain_lift"]
    for group, part in table.groupby(keys, sort=False):
        key = [str(value) for value in group]
        per_seed = part.groupby("seed")[figures].mean()
        low, high = interval(per_seed.lift)
        gained = per_seed.retrain_lift.mean()
        gained_low, _ = interval(per_seed.retrain_lift)
        retained = per_seed.lift.mean() / gained if gained_low > EQUIVALENCE else float("nan")
        rows.append(
            dict(zip(keys, key, strict=True))
            | per_seed.mean().to_dict()
            | {"seeds": len(per_seed), "datasets": part.dataset.nunique(), "lift_low": low, "lift_high": high}
            | {"retained": retained}
        )
    return pd.DataFrame(rows)
