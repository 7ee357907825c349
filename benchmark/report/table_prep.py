"""From the tidy results to one row per (pair, method, config, data set, split, seed), with the baseline's values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from benchmark.data.task import HEADLINE
from benchmark.report.model import BASE_TO_NEW, CROSS_DATASET, DOMAIN, FEW_SHOT, Scope, few_shot
from benchmark.report.table import NAN, Interval
from benchmark.results import summary as results_summary

if TYPE_CHECKING:
    from benchmark.method.base import Info

Key = tuple[str, ...]
Configured = tuple[str, str, str]
"""Pair, method, configuration."""
TEXT = [name for name in results_summary.COLUMNS if name not in ("shots", "seed", "value", "n")]
CONFIGURED = ["pair", "method", "config"]
SUMMARY = ["pair", "method", "config", "protocol", "test_set", "split"]


@dataclass(frozen=True, eq=False)
class Prepared:
    """The results of a run as all tables need them, computed once."""

    results: pd.DataFrame
    """Cleaned."""
    table: pd.DataFrame
    """Matched."""
    baseline: str
    """The zero-shot method."""
    covariances: results_summary.Covariances
    looks: int = 1
    """See ``About.looks``."""

    @cached_property
    def _reasons(self) -> dict[Key, dict[str, str]]:
        rows = self.results[(self.results.strategy == "reuse") & (self.results.status != "ok")]
        reasons: dict[Key, dict[str, str]] = {}
        for *key, status, reason in rows[[*CONFIGURED, "protocol", "status", "reason"]].itertuples(index=False, name=None):
            reasons.setdefault(tuple(key), {})[status] = reason
        return reasons

    def statuses(self, pair: str, method: str, config: str, protocol: str) -> Mapping[str, str]:
        """Reasons by status of the reuse cells that have no value."""
        return self._reasons.get((pair, method, config, protocol), {})


def prepare(
    results: pd.DataFrame, baseline: str, covariances: results_summary.Covariances | None = None, looks: int = 1
) -> Prepared:
    """Clean and match results.

    ``covariances`` say what the images contribute to the uncertainty; without, intervals cover seeds only.
    """
    cleaned = clean(results)
    return Prepared(cleaned, matched(cleaned, baseline), baseline, covariances or results_summary.Covariances(), looks)


def clean(results: pd.DataFrame) -> pd.DataFrame:
    """The same rows with empty text for missing text (a CSV reader makes it NaN) and numbers in ``value``."""
    table = _named(results, TEXT)
    table["value"] = pd.to_numeric(table["value"], errors="coerce")
    return table.reset_index(drop=True)


def _named(table: pd.DataFrame, texts: Sequence[str]) -> pd.DataFrame:
    """A copy with empty text for missing text in ``texts``, and few-shot protocols named by their shots."""
    table = table.copy()
    few = (table.protocol == FEW_SHOT).to_numpy(dtype=bool)
    if few.any():
        shots = pd.to_numeric(table.shots[few], errors="coerce").fillna(0).astype(int)
        protocols = table.protocol.astype(object)
        protocols[few] = [few_shot(count).protocol for count in shots]
        table["protocol"] = protocols
    for name in texts:
        table[name] = _as_categories(table[name])
    return table


def _as_categories(texts: pd.Series[Any]) -> pd.Categorical[Any]:
    """The same as text with few words many times over, which is compared and grouped by number."""
    codes, words = pd.factorize(texts)  # -1 for a missing one
    known: dict[str, int] = {}
    places = np.array([known.setdefault(word, len(known)) for word in ["", *map(str, words)]])
    return pd.Categorical.from_codes(places[codes + 1].tolist(), categories=pd.Index(list(known)))


def covariances(table: pd.DataFrame | None) -> results_summary.Covariances:
    """The images' contribution to the uncertainty, with protocols named as in the report."""
    if table is None or table.empty:
        return results_summary.Covariances()
    return results_summary.Covariances(_named(table, ("test_set", "config", "other_config")))


def matched(results: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """``results_summary.with_baseline`` of cleaned results, so that all values of a method cover the same cells.

    Where a method has a reuse accuracy for some cells of a split and none for others, the others are left out of its old,
    retrain and zero-shot accuracies too: otherwise the means would be over different data sets. The baseline counts once,
    with its first configuration.
    """
    of_baseline = results[results.method == baseline]
    if len(of_baseline):
        results = results[(results.method != baseline) | (results.config == of_baseline.config.iloc[0])]
    table = results_summary.with_baseline(results_summary.wide(results), baseline)
    if table.empty:
        return table
    some = table.groupby(SUMMARY).reuse.transform("count") > 0
    return table[table.reuse.notna() | ~some].reset_index(drop=True)


def summary_rows(
    table: pd.DataFrame, covariances: results_summary.Covariances | None = None, baseline: str = "", looks: int = 1
) -> dict[Key, Mapping[str, Any]]:
    """``results_summary.summarise`` by (pair, method, config, protocol, test_set, split)."""
    rows = results_summary.summarise(table, covariances, baseline, looks).to_dict("records")
    return {tuple(str(row[name]) for name in SUMMARY): {str(k): v for k, v in row.items()} for row in rows}


def scope(results: pd.DataFrame) -> Scope:
    """What the headline is about: H of base-to-new where that was run, else the accuracy of all classes under the first
    protocol that was: few-shot with the most shots, domain, cross-dataset."""
    shots = few_shots(results)
    scopes = {BASE_TO_NEW.protocol: BASE_TO_NEW, DOMAIN.protocol: DOMAIN, CROSS_DATASET.protocol: CROSS_DATASET}
    scopes |= {FEW_SHOT: shots[-1]} if shots else {}
    present = {*results.protocol.astype(str).unique(), *(FEW_SHOT for _ in shots)}
    return next((scopes[name] for name in HEADLINE if name in present and name in scopes), BASE_TO_NEW)


def few_shots(results: pd.DataFrame) -> list[Scope]:
    """The numbers of shots of the few-shot protocol, from few to many."""
    rows = results[results.protocol.astype(str).str.startswith(FEW_SHOT)]
    return [few_shot(int(count)) for count in sorted(pd.to_numeric(rows.shots, errors="coerce").dropna().unique())]


def lifts_by_dataset(prepared: Prepared, view: Scope) -> dict[Configured, dict[str, float]]:
    """Mean lift over seeds in points by (pair, method, config), then by data set."""
    table = prepared.table
    table = table[(table.protocol == view.protocol) & (table.split == view.split) & (table.test_set == "")]
    lifts: dict[Configured, dict[str, float]] = {}
    if len(table):
        means = table.groupby(["pair", "method", "config", "dataset"], sort=False).lift.mean().reset_index()
        for pair, method, config, dataset, lift in means.itertuples(index=False, name=None):
            lifts.setdefault((pair, method, config), {})[dataset] = lift
    return lifts


def value_of(rows: Mapping[Key, Mapping[str, Any]], key: Key, name: str) -> float:
    """A value of a summary, or NaN."""
    row = rows.get(key)
    return NAN if row is None else float(row[name])


def lift_of(rows: Mapping[Key, Mapping[str, Any]], key: Key) -> Interval:
    """Lift and its interval of a summary row, or NaN."""
    return Interval(*(value_of(rows, key, name) for name in ("lift", "lift_low", "lift_high", "p", "p_outside")))


def judge(lift: Interval, bad: Mapping[str, str], empty: bool) -> str:
    """The verdict. Failed cells decide only if no cell has a value; otherwise the lift alone decides."""
    if empty:
        return results_summary.verdict(NAN, NAN, NAN, set(bad) or {"missing"})
    return results_summary.verdict(lift.mean, lift.p, lift.p_outside)


def label(method: str, config: str) -> str:
    """A method's name, with its configuration if that is not the default one."""
    return method if config in ("", "default") else f"{method} ({config})"


def depth(method: str, methods: Mapping[str, Info]) -> str:
    """shallow, deep or none; also none for an unknown method."""
    return methods[method].depth if method in methods else "none"


def configurations(results: pd.DataFrame) -> list[tuple[str, str]]:
    """The (method, config) of the results, in order of appearance."""
    return list(dict.fromkeys(zip(results.method, results.config, strict=True)))


def pair_name(results: pd.DataFrame, old: str, new: str) -> str | None:
    """What the results call the pair of two backbones; None if it has no rows."""
    rows = results[(results.old == old) & (results.new == new)]
    return str(rows.pair.iloc[0]) if len(rows) else None
