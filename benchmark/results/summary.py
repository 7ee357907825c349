"""Compatibility from the tidy results: what happens to a module when the backbone under it is replaced.

For a pair O -> N: ``old`` is trained and tested on O, ``reuse`` is trained on O and tested on N, ``retrain`` is trained and
tested on N; the zero-shot rows of the same table give the two baselines. All accuracies are in per cent, all differences
in percentage points.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from benchmark.experiment.plan import REPAIR
from benchmark.results.intervals import ERROR_RATE, Estimate, combine, family_confidence, ranks, ratio_interval
from benchmark.results.metric import PRIMARY, STRATEGIES, all_metrics

COLUMNS = (
    "pair old new method config dataset test_set protocol split shots seed strategy metric value n status reason".split()
)
"""Columns of results.csv, in order. One row is one value of one cell; a cell without values has one row with its status.

``strategy`` is old, reuse, retrain or a repair (``plan.PlannedRepair``). ``split`` is base, new, all, or H of base and new.
``metric`` is the name of a metric (see ``metrics/``). ``test_set`` names a shifted or other test set, and is empty for the
data set's own.
"""

EQUIVALENCE = 1.0
"""Points of lift that count as no effect."""
VERDICTS = ("helps", "no effect", "harms", "undecided", "incompatible", "no result")


def verdict(lift: float, p: float, p_outside: float, statuses: Collection[str] = ()) -> str:
    """What a mean lift says, in two words.

    ``p`` and ``p_outside`` are corrected for the number of methods: of the hypotheses that the lift is 0, and that it is at
    least ``EQUIVALENCE`` from 0.
    """
    if not math.isfinite(lift):
        return "incompatible" if "incompatible" in statuses else "no result" if statuses else "undecided"
    if p_outside < ERROR_RATE:
        return "no effect"
    if p < ERROR_RATE:
        return "helps" if lift > 0 else "harms"
    return "undecided"


class Covariances:
    """The images' contribution to the uncertainty, from the table of ``image_covariance.CovarianceRows``; may be empty."""

    def __init__(self, table: pd.DataFrame | None = None) -> None:
        self._known: dict[tuple[str, ...], dict[tuple[str, str], tuple[float, int]]] = {}
        for row in [] if table is None else table.to_dict("records"):
            key = tuple(str(row[name]) for name in ("quantity", "pair", "protocol", "split"))
            one, other = (str(row["method"]), str(row["config"])), (str(row["other"]), str(row["other_config"]))
            for first, second in {(one, other), (other, one)}:
                places = self._known.setdefault((*key, *first, *second), {})
                places[str(row["dataset"]), str(row["test_set"])] = (float(row["covariance"]), int(row["drawings"]))

    def of(
        self,
        quantity: str,
        where: tuple[str, str, str],
        one: tuple[str, str],
        other: tuple[str, str],
        tests: Sequence[tuple[str, str]],
    ) -> tuple[float, int]:
        """(covariance, drawings) of the mean of a quantity over ``tests`` (data set, test_set) of one data set; NaN where it
        is unknown. ``where``: pair, protocol, split."""
        known = self._known.get((quantity, *where, *one, *other), {})
        parts = [known[test] for test in tests if test in known]
        if not parts or len(parts) < len(tests):
            return math.nan, 0
        return sum(part for part, _ in parts) / len(parts) ** 2, min(drawings for _, drawings in parts)


KEYS = ["pair", "method", "config", "dataset", "test_set", "protocol", "split", "seed"]


def extra_metrics(results: pd.DataFrame) -> list[tuple[str, str]]:
    """The (metric, strategy) besides accuracy that results have values of, also for metrics that this version does not know;
    retraining is left out."""
    rows = results[(results.status == "ok") & (results.metric != PRIMARY) & (results.strategy != "retrain")]
    pairs = rows[["metric", "strategy"]].drop_duplicates().itertuples(index=False, name=None)
    known = {metric.name: place for place, metric in enumerate(all_metrics())}
    return sorted(pairs, key=lambda pair: (known.get(pair[0], len(known)), pair[0], STRATEGIES.index(pair[1])))


def column(metric: str, strategy: str) -> str:
    """What a metric of a strategy is called in wide tables."""
    return strategy if metric == PRIMARY else f"{metric}_{strategy}"


def baseline_column(metric: str, strategy: str) -> str:
    """What zero-shot's value of a metric is called there: on the old backbone for old, else on the new one."""
    side = "old" if strategy == "old" else "new"
    return f"zs_{side}" if metric == PRIMARY else f"zs_{metric}_{strategy}"


def lift_of(strategy: str) -> str:
    """What the lift of a repair is called in wide tables: its accuracy minus zero-shot's on the new backbone."""
    return f"{strategy} lift"


def repairs_in(table: pd.DataFrame) -> list[str]:
    """The repairs that a wide table, or results, have values of."""
    names = table.strategy.unique() if "strategy" in table else table.columns
    return [name for name in names if name.startswith(f"{REPAIR}:") and not name.endswith(lift_of(""))]


def wide(results: pd.DataFrame) -> pd.DataFrame:
    """One row per (pair, method, config, dataset, test set, protocol, split, seed): accuracy by strategy (old, reuse,
    retrain, repairs), and every other metric by strategy (``column``)."""
    values = results[results.status == "ok"]
    table = values[values.metric == PRIMARY].pivot_table(index=KEYS, columns="strategy", values="value")
    for name in STRATEGIES:
        if name not in table:
            table[name] = np.nan
    for metric, strategy in extra_metrics(results):
        rows = values[(values.metric == metric) & (values.strategy == strategy)]
        table[column(metric, strategy)] = rows.set_index(KEYS).value
    return table.reset_index()


def with_baseline(table: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """``wide`` with the values of the zero-shot method ``baseline`` in every row, and lift and gain."""
    keys = ["pair", "dataset", "test_set", "protocol", "split", "seed"]
    repairs = repairs_in(table)
    names = {name: _baseline_name(name) for name in table.columns if name not in (*KEYS, "retrain", *repairs)}
    zero = table[table.method == baseline].set_index(keys)[list(names)].rename(columns=names)
    joined = table.join(zero, on=keys)
    joined["lift"] = joined.reuse - joined.zs_new
    joined["gain"] = joined.reuse - joined.old
    joined["retrain_lift"] = joined.retrain - joined.zs_new
    joined["stay_lift"] = joined.old - joined.zs_new
    for name in repairs:
        joined[lift_of(name)] = joined[name] - joined.zs_new
    return joined


def _baseline_name(name: str) -> str:
    metric, _, strategy = name.rpartition("_")
    return baseline_column(metric or PRIMARY, strategy)


def quantities(table: pd.DataFrame) -> list[str]:
    """The columns of a wide table that are averaged."""
    return [name for name in table.columns if name not in (*KEYS, "own_test_set", "shots")]


def summarise(
    table: pd.DataFrame, covariances: Covariances | None = None, baseline: str = "", looks: int = 1
) -> pd.DataFrame:
    """One row per (pair, method, config, protocol, test_set, split): means over data sets and seeds, the intervals of lift
    and gain, the share of the retrained lift that reuse retains (NaN where the interval of the retrained lift
    reaches a point or less). Those of lift hold for all methods of a table at the same time, however many of ``looks`` there
    were at verdicts before seeds were added."""
    covariances = covariances or Covariances()
    rows = []
    for part in groups(table):
        row: dict[str, Any] = dict(zip(GROUP, part.key, strict=True)) | part.means()
        row |= {"seeds": part.seeds, "datasets": len(set(part.datasets))}
        lift, gain = part.estimate("lift", covariances), part.estimate("gain", covariances)
        row |= {"lift_error": lift.error, "lift_freedom": lift.freedom}
        for name, estimate in (("lift", lift), ("gain", gain)):
            row[f"{name}_low"], row[f"{name}_high"] = estimate.interval()
        rows.append(row | _retained(part, lift, covariances))
    summary = pd.DataFrame(rows)
    return summary if summary.empty else _corrected(summary, baseline, looks)


GROUP = ["pair", "method", "config", "protocol", "test_set", "split"]


@dataclass(frozen=True, eq=False)
class Part:
    """The values of one row of a summary; N of the wide table's rows."""

    key: tuple[str, ...]
    datasets: np.ndarray
    """(N,) names."""
    tested: np.ndarray
    """(N,) names of test sets."""
    seed: np.ndarray
    """(N,)."""
    numbers: Mapping[str, np.ndarray]
    """(N,) by quantity; NaN where there is none."""

    @property
    def where(self) -> tuple[str, str, str]:
        """Pair, protocol, split."""
        return self.key[0], self.key[3], self.key[5]

    @property
    def name(self) -> tuple[str, str]:
        """Method and configuration."""
        return self.key[1], self.key[2]

    @cached_property
    def places(self) -> set[tuple[str, int]]:
        """(data set, seed) of its values."""
        return set(zip(self.datasets.tolist(), self.seed.tolist(), strict=True))

    @property
    def seeds(self) -> int:
        return len(np.unique(self.seed))

    def values(self, quantity: str) -> dict[str, dict[int, float]]:
        """A quantity by data set and seed, where it has a value: the mean over the test sets that the row combines."""
        known: dict[str, dict[int, list[float]]] = {}
        for dataset, seed, value in zip(self.datasets, self.seed.tolist(), self.numbers[quantity].tolist(), strict=True):
            if math.isfinite(value):
                known.setdefault(dataset, {}).setdefault(seed, []).append(value)
        return {dataset: {seed: _average(some) for seed, some in seeds.items()} for dataset, seeds in known.items()}

    def estimate(self, quantity: str, covariances: Covariances) -> Estimate:
        """The mean of a quantity over data sets, with seed and image variance."""
        values = self.values(quantity)
        spread = [covariances.of(quantity, self.where, self.name, self.name, self.tests[dataset]) for dataset in values]
        return combine([list(seeds.values()) for seeds in values.values()], [v for v, _ in spread], [n for _, n in spread])

    @cached_property
    def tests(self) -> dict[str, list[tuple[str, str]]]:
        """(data set, test set) by data set."""
        found: dict[str, list[tuple[str, str]]] = {}
        for test in dict.fromkeys(zip(self.datasets, self.tested, strict=True)):
            found.setdefault(test[0], []).append(test)
        return found

    def means(self) -> dict[str, float]:
        """Of every quantity: over data sets and test sets within a seed, then over seeds."""
        by_seed = [self.seed == seed for seed in np.unique(self.seed)]
        return {
            quantity: _average([_average(values[rows].tolist()) for rows in by_seed])
            for quantity, values in self.numbers.items()
        }


def groups(table: pd.DataFrame) -> list[Part]:
    """The rows of a table by the row of the summary that they go into.

    Where rows of several test sets were combined under another name, the column ``own_test_set`` has their own.
    """
    own = "own_test_set" if "own_test_set" in table else "test_set"
    codes = table.groupby(GROUP, sort=False, observed=True).ngroup().to_numpy()
    order = np.argsort(codes, kind="stable")
    texts = {name: np.array(table[name].tolist(), dtype=object)[order] for name in {*GROUP, "dataset", own}}
    seeds = table.seed.to_numpy(dtype=int)[order]
    numbers = {name: table[name].to_numpy(dtype=float)[order] for name in quantities(table)}
    ends = np.cumsum(np.bincount(codes)).tolist() if len(codes) else []
    parts = []
    for start, end in zip([0, *ends[:-1]], ends, strict=False):
        rows = slice(start, end)
        key = tuple(str(texts[name][start]) for name in GROUP)
        values = {name: column[rows] for name, column in numbers.items()}
        parts.append(Part(key, texts["dataset"][rows], texts[own][rows], seeds[rows], values))
    return parts


def _average(values: Sequence[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return sum(known) / len(known) if known else math.nan


def _retained(part: Part, lift: Estimate, covariances: Covariances) -> dict[str, float]:
    """The ratio of the mean lifts of reuse and retraining, with Fieller's interval."""
    blank = {"retained": math.nan, "retained_low": math.nan, "retained_high": math.nan}
    retrained = part.estimate("retrain_lift", covariances)
    if not retrained.known or retrained.interval()[0] <= EQUIVALENCE or not math.isfinite(lift.mean):
        return blank
    shared, lifts, others = 0.0, part.values("lift"), part.values("retrain_lift")
    for dataset, seeds in lifts.items():
        both = [(value, others[dataset][seed]) for seed, value in seeds.items() if seed in others.get(dataset, {})]
        between = float(np.cov(np.array(both).T)[0, 1]) / len(both) if len(both) > 1 else 0.0
        images, _ = covariances.of("retained", part.where, part.name, part.name, part.tests[dataset])
        shared += (between + (images if math.isfinite(images) else 0.0)) / len(lifts) ** 2
    low, high = ratio_interval(lift, retrained, shared)
    return {"retained": lift.mean / retrained.mean, "retained_low": low, "retained_high": high}


def _corrected(rows: pd.DataFrame, baseline: str, looks: int) -> pd.DataFrame:
    """Intervals of lift that hold for all methods of a table at the same time, and p-values that agree with them: p is below
    5 % where the interval excludes 0, and p_outside where it lies within ``EQUIVALENCE`` of 0."""
    rows = rows.assign(p=math.nan, p_outside=math.nan)
    judged = rows[rows.method != baseline]
    for _, table in judged.groupby(["pair", "protocol", "test_set", "split"], sort=False):
        lifts = [Estimate(*map(float, values)) for values in table[["lift", "lift_error", "lift_freedom"]].to_numpy()]
        count = looks * sum(lift.known for lift in lifts)
        rows.loc[table.index, "p"] = [min(1.0, count * lift.p_value()) for lift in lifts]
        rows.loc[table.index, "p_outside"] = [min(1.0, 2 * count * lift.p_outside(EQUIVALENCE)) for lift in lifts]
        rows.loc[table.index, ["lift_low", "lift_high"]] = [lift.interval(family_confidence(count)) for lift in lifts]
    return rows


def _of_difference(first: float, second: float, both: float) -> float:
    """The variance of a difference from the two variances and the covariance. Where the covariance is unknown, because the
    two were computed in different runs, it is the largest that is possible; NaN where a variance is unknown."""
    if not math.isfinite(first + second):
        return math.nan
    if not math.isfinite(both):
        return (math.sqrt(max(0.0, first)) + math.sqrt(max(0.0, second))) ** 2
    return max(0.0, first + second - 2 * both)


def rank_intervals(
    table: pd.DataFrame, names: Sequence[tuple[str, str]], where: tuple[str, str, str], covariances: Covariances
) -> list[tuple[int, int]]:
    """Best and worst rank by reuse of each of ``names`` (method, config), compared on the same data sets, seeds and images.

    ``table`` is that of ``with_baseline`` for the test set and the methods that are compared; ``where`` is pair, protocol
    and split.
    """
    pair, protocol, split = where
    table = table[(table.pair == pair) & (table.protocol == protocol) & (table.split == split)]
    parts = {part.name: part for part in groups(table)}
    values = {name: parts[name].values("reuse") for name in names}

    def difference(one: tuple[str, str], other: tuple[str, str]) -> Estimate:
        gaps, variances, drawings = [], [], []
        for dataset, seeds in values[one].items():
            shared = values[other].get(dataset, {})
            gaps.append([value - shared[seed] for seed, value in seeds.items() if seed in shared])
            tests = parts[one].tests[dataset]
            first, count = covariances.of("lift", where, one, one, tests)
            second, _ = covariances.of("lift", where, other, other, tests)
            both, _ = covariances.of("lift", where, one, other, tests)
            variances.append(_of_difference(first, second, both))
            drawings.append(count)
        return combine(gaps, variances, drawings)

    pairs = itertools.combinations(range(len(names)), 2)
    return ranks({(i, j): difference(names[i], names[j]) for i, j in pairs}, len(names))
