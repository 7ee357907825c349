"""One row for each method on each pair; see ``model.MethodRow``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from benchmark.report import table_prep
from benchmark.report.model import BOUND, Accuracies, MethodRow, Scope
from benchmark.report.numbers import signed
from benchmark.report.table import NAN, Interval
from benchmark.report.table_prep import Prepared
from benchmark.results.summary import Covariances, baseline_column, column, extra_metrics, rank_intervals

if TYPE_CHECKING:
    from benchmark.method.base import Info
    from benchmark.results.archive import RunResults


@dataclass(frozen=True, eq=False)
class FirstTables:
    """The first table of every upgrade, and the prepared results that it was made of."""

    prepared: Prepared
    rows: list[MethodRow]


def first_tables(run: RunResults) -> FirstTables:
    """Those of a run."""
    prepared = table_prep.prepare(run.results, run.about.zero_shot, table_prep.covariances(run.uncertainty), run.about.looks)
    return FirstTables(prepared, headline_of(prepared, run.methods))


def headline(
    results: pd.DataFrame, baseline: str, methods: Mapping[str, Info], covariances: Covariances | None = None
) -> list[MethodRow]:
    """``headline_of`` results that are not prepared yet, see ``table_prep.prepare``."""
    return headline_of(table_prep.prepare(results, baseline, covariances), methods)


def headline_of(prepared: Prepared, methods: Mapping[str, Info]) -> list[MethodRow]:
    """All rows, pairs in order of appearance; in each the baseline first, then methods from best to worst reuse."""
    baseline, covariances = prepared.baseline, prepared.covariances
    view = table_prep.scope(prepared.results)
    results = prepared.results[prepared.results.protocol == view.protocol]
    table = prepared.table[prepared.table.protocol == view.protocol]
    rows = table_prep.summary_rows(table, covariances, baseline, prepared.looks)
    extra = extra_metrics(results)
    names = [name_of(*pair) for pair in extra for name_of in (column, baseline_column)]
    all_rows: list[MethodRow] = []
    for pair in dict.fromkeys(results.pair):
        part = results[results.pair == pair]
        cells = _cells(part, view)
        on_pair = [
            _row(part, rows, (pair, *configuration), cells, view, prepared, methods, names)
            for configuration in _configurations(part, baseline)
        ]
        all_rows += _placed(sorted(on_pair, key=_order), table, (str(pair), view.protocol, view.split), covariances)
    return all_rows


def _configurations(part: pd.DataFrame, baseline: str) -> list[tuple[str, str]]:
    """The (method, config) of a pair; the baseline once only."""
    configurations = table_prep.configurations(part)
    first = [configuration for configuration in configurations if configuration[0] == baseline][:1]
    return first + [configuration for configuration in configurations if configuration[0] != baseline]


def _order(row: MethodRow) -> tuple[bool, float, float, str, str]:
    """The baseline first, then by reuse, then by reuse on base classes, then by name."""
    accuracies = (row.reuse.main, row.reuse.base)
    main, base = (-value if math.isfinite(value) else math.inf for value in accuracies)
    return (not row.baseline, main, base, row.method, row.config)


def _cells(part: pd.DataFrame, view: Scope) -> set[tuple[str, int]]:
    """The (data set, seed) that a pair has; a complete method has a value for all of them."""
    rows = part[(part.strategy == "reuse") & (part.test_set == "") & (part.protocol == view.protocol)]
    return set(zip(rows.dataset, rows.seed, strict=True))


def _row(
    part: pd.DataFrame,
    rows: Mapping[table_prep.Key, Mapping[str, Any]],
    name: tuple[str, str, str],
    cells: set[tuple[str, int]],
    view: Scope,
    prepared: Prepared,
    methods: Mapping[str, Info],
    names: Sequence[str],
) -> MethodRow:
    """The row of ``name`` = (pair, method, config); ``names`` are the columns of metrics other than accuracy."""
    main = (*name, view.protocol, "", view.split)
    parts: list[table_prep.Key] = [(*name, view.protocol, "", split) for split in view.parts]
    lift = table_prep.lift_of(rows, main)
    bad = prepared.statuses(*name, view.protocol)
    reused, retrained = (_have(part, name, view, strategy) for strategy in ("reuse", "retrain"))
    own = set(part[(part.method == name[1]) & (part.config == name[2])].seed)
    cells = {place for place in cells if place[1] in own}
    row = MethodRow(
        *name,
        label=table_prep.label(name[1], name[2]),
        depth=table_prep.depth(name[1], methods),
        baseline=name[1] == prepared.baseline,
        old=_strategy(rows, main, parts, "old"),
        reuse=_strategy(rows, main, parts, "reuse"),
        retrain=table_prep.value_of(rows, main, "retrain"),
        zs_new=table_prep.value_of(rows, main, "zs_new"),
        lift=lift,
        gain=Interval(*(table_prep.value_of(rows, main, name) for name in ("gain", "gain_low", "gain_high"))),
        retained=_retained(rows, main) if retrained == reused else Interval(),
        metrics={name: _over_images(rows, main, parts, name) for name in names},
        missing=len(cells - reused),
        cells=len(cells),
    )
    if row.baseline:
        return replace(row, lift=Interval(), retained=Interval(), retrain=NAN)
    bound = name[1] in methods and methods[name[1]].class_bound and not math.isfinite(row.reuse.main)
    if bound and math.isfinite(row.reuse.base):
        on_base = table_prep.value_of(rows, parts[0], "lift")
        note = f"no value on new classes; lift on base classes {signed(on_base)}"
        return replace(row, verdict=BOUND, note=note)
    empty = not math.isfinite(row.reuse.main)
    return replace(row, verdict=table_prep.judge(lift, bad, empty), note=_note(row, bad))


def _have(part: pd.DataFrame, name: tuple[str, str, str], view: Scope, strategy: str) -> set[tuple[str, int]]:
    """The (data set, seed) for which a method has the headline accuracy."""
    rows = part[(part.method == name[1]) & (part.config == name[2]) & (part.status == "ok") & (part.test_set == "")]
    rows = rows[(rows.split == view.split) & (rows.strategy == strategy) & (rows.metric == "accuracy") & rows.value.notna()]
    return set(zip(rows.dataset, rows.seed, strict=True))


def _strategy(
    rows: Mapping[table_prep.Key, Mapping[str, Any]], main: table_prep.Key, parts: list[table_prep.Key], name: str
) -> Accuracies:
    base, new = (table_prep.value_of(rows, part, name) for part in parts) if parts else (NAN, NAN)
    return Accuracies(table_prep.value_of(rows, main, name), base, new)


def _over_images(
    rows: Mapping[table_prep.Key, Mapping[str, Any]], main: table_prep.Key, parts: Sequence[table_prep.Key], name: str
) -> float:
    """A metric over all test images; where that is not recorded, the mean over the splits that have it."""
    whole = table_prep.value_of(rows, main, name)
    if math.isfinite(whole):
        return whole
    values = [value for value in (table_prep.value_of(rows, key, name) for key in parts) if math.isfinite(value)]
    return sum(values) / len(values) if values else NAN


def _note(row: MethodRow, bad: Mapping[str, str]) -> str:
    reasons = "; ".join(f"{status}: {reason}" if reason else status for status, reason in bad.items())
    if not math.isfinite(row.reuse.main):
        return reasons or "no values"
    return f"{row.missing} of {row.cells} cells have no value" + (f" ({reasons})" if reasons else "") if row.missing else ""


def _placed(
    rows: list[MethodRow], table: pd.DataFrame, where: tuple[str, str, str], covariances: Covariances
) -> list[MethodRow]:
    """Give ranks to the methods with all their cells, where differences between them can be tested."""
    competing = [row for row in rows if not row.baseline and row.complete]
    if not competing or not competing[0].lift.known:
        return rows
    names = [(row.method, row.config) for row in competing]
    shown = table[table.test_set == ""]
    ranks = dict(zip(names, rank_intervals(shown, names, where, covariances), strict=True))
    return [replace(row, rank=ranks.get((row.method, row.config)) if not row.baseline else None) for row in rows]


def _retained(rows: Mapping[table_prep.Key, Mapping[str, Any]], main: table_prep.Key) -> Interval:
    return Interval(*(table_prep.value_of(rows, main, name) for name in ("retained", "retained_low", "retained_high")))
