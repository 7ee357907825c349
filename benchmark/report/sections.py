"""Rows of the other tables: other protocols than the headline's, cells without values, costs."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from benchmark.method.shapes import parse_mismatch
from benchmark.report import causes, table_prep
from benchmark.report.model import (
    CROSS_DATASET,
    DOMAIN,
    FEW_SHOT,
    CapabilityRow,
    CostRow,
    FailureRow,
    ProtocolView,
    Scope,
    Section,
    ShiftRow,
)
from benchmark.report.numbers import arrow
from benchmark.report.table import NAN, Interval
from benchmark.report.table_prep import Prepared
from benchmark.report.tables import shift_table

if TYPE_CHECKING:
    from benchmark.method.base import Info
    from benchmark.training.checks.capability import Capability

OWN, SHIFTED, OTHERS = "own test split", "all shifted test sets", "all other data sets"
MEANS = {DOMAIN: SHIFTED, CROSS_DATASET: OTHERS}
"""What the mean over the test sets of a protocol is called."""


ShiftRows = Mapping[str, Mapping[str, Sequence[ShiftRow]]]
"""By protocol and pair, see ``shifts``."""


def shift_rows(prepared: Prepared, pairs: Collection[str]) -> ShiftRows:
    """Rows of all pairs under the protocols that test on several sets."""
    return {scope.protocol: {pair: shifts(prepared, pair, scope, name) for pair in pairs} for scope, name in MEANS.items()}


def elsewhere_scopes() -> dict[str, Scope]:
    """The protocols that test on other sets than the data sets' own, by what these sets are called."""
    return {name.removeprefix("all "): scope for scope, name in MEANS.items()}


def elsewhere(rows: ShiftRows, pair: str, view: Scope) -> dict[str, list[ShiftRow]]:
    """The means over the test sets of other protocols than ``view``'s, without the baseline, by what the sets are called."""
    found = {
        title: [row for row in rows[scope.protocol].get(pair, ()) if row.test_set == MEANS[scope] and not row.baseline]
        for title, scope in elsewhere_scopes().items()
        if scope.protocol != view.protocol
    }
    return {name: means for name, means in found.items() if means}


def other_protocols(prepared: Prepared, pairs: Mapping[str, str], shifted_rows: ShiftRows) -> list[Section]:
    """The other protocols that were run. ``pairs``: the displayed name of each pair of the results."""

    def shifted(scope: Scope, name: str) -> list[ProtocolView]:
        views = []
        for pair, title in pairs.items():
            rows = shifted_rows[scope.protocol][pair]
            groups = {group: chosen for group in (OWN, name) if (chosen := [row for row in rows if row.test_set == group])}
            single = [row for row in rows if row.test_set not in groups]
            if groups:
                means = [shift_table(chosen, _caption(title, group)) for group, chosen in groups.items()]
                caption = f"{title}, each test set: means over seeds."
                details = shift_table(single, caption, named=True) if single else None
                views.append(ProtocolView(title, means, details))
        return views

    sections = [
        Section(
            "few-shot",
            "Few shots",
            "Modules are trained on all classes of a data set, with the given number of images per class, and tested on all "
            "classes.",
            _by_shots(prepared, pairs),
            FEW_SHOT,
        ),
        Section(
            "shifted",
            "Shifted test sets",
            "Modules are trained on all classes of a data set and tested on its own test split and on shifted test sets: "
            "the same classes in another style.",
            shifted(DOMAIN, SHIFTED),
            DOMAIN.protocol,
        ),
        Section(
            "cross-dataset",
            "Other data sets",
            "Modules are trained on all classes of one data set and tested on all classes of others, which they never saw.",
            shifted(CROSS_DATASET, OTHERS),
            CROSS_DATASET.protocol,
        ),
    ]
    return [section for section in sections if section.pairs]


def _caption(pair: str, group: str) -> str:
    return f"{pair}, {group}: means over data sets and seeds."


def _by_shots(
    prepared: Prepared,
    pairs: Mapping[str, str],
) -> list[ProtocolView]:
    """One table for each number of shots."""
    scopes = table_prep.few_shots(prepared.results)
    views = []
    for pair, title in pairs.items():
        tables = {scope.protocol: shifts(prepared, pair, scope, "") for scope in scopes}
        groups = {name: own for name, rows in tables.items() if (own := [row for row in rows if row.test_set == OWN])}
        if groups:
            views.append(ProtocolView(title, [shift_table(own, _caption(title, name)) for name, own in groups.items()]))
    return views


def shifts(
    prepared: Prepared,
    pair: str,
    scope: Scope = DOMAIN,
    all_of: str = SHIFTED,
) -> list[ShiftRow]:
    """Rows of one pair under a protocol that tests on several sets: per method the own test split, the mean of all other
    sets (named ``all_of``), and each of these.

    The mean is over test sets and data sets within a seed, then over seeds. The baseline comes first in each group.
    """
    table = prepared.table
    table = table[(table.pair == pair) & (table.protocol == scope.protocol) & (table.split == scope.split)]
    if table.empty:
        return []
    own, shifted = table[table.test_set == ""], table[table.test_set != ""]
    groups = [(own, "", OWN), (shifted, "", all_of)]
    groups += [(part, str(name[0]), str(name[1])) for name, part in shifted.groupby(["dataset", "test_set"], sort=True)]
    return [row for part, dataset, name in groups for row in _group(part, prepared, dataset, name)]


def _group(
    part: pd.DataFrame,
    prepared: Prepared,
    dataset: str,
    name: str,
) -> list[ShiftRow]:
    """One row per method over the cells in ``part``, sorted by reuse."""
    places = _places(part)
    some = part.groupby(["method", "config"]).reuse.transform("count") > 0
    part = part[part.reuse.notna() | ~some].assign(own_test_set=part.test_set, test_set=name)
    rows = [] if dataset else _absent(part, prepared, name)
    for key, row in table_prep.summary_rows(part, prepared.covariances, prepared.baseline, prepared.looks).items():
        is_baseline = key[1] == prepared.baseline
        bad = prepared.statuses(key[0], key[1], key[2], key[3])
        have = part[(part.method == key[1]) & (part.config == key[2]) & part.reuse.notna()]
        lift = (
            Interval() if is_baseline else Interval(*(row[n] for n in ("lift", "lift_low", "lift_high", "p", "p_outside")))
        )
        rows.append(
            ShiftRow(
                label=table_prep.label(key[1], key[2]),
                baseline=is_baseline,
                dataset=dataset,
                test_set=name,
                old=row["old"],
                reuse=row["reuse"],
                retrain=NAN if is_baseline else row["retrain"],
                zs_new=row["zs_new"],
                lift=lift,
                verdict="" if is_baseline else table_prep.judge(lift, bad, not math.isfinite(row["reuse"])),
                missing=len(places) - len(have),
                cells=len(places),
            )
        )
    return sorted(rows, key=lambda row: (not row.baseline, -row.reuse if math.isfinite(row.reuse) else math.inf, row.label))


def _absent(part: pd.DataFrame, prepared: Prepared, name: str) -> list[ShiftRow]:
    """Rows for the methods that have no value at all, not even on the old backbone."""
    have = set(zip(part.method, part.config, strict=True))
    if not have:
        return []
    pair, protocol = part.pair.iloc[0], part.protocol.iloc[0]
    results = prepared.results[(prepared.results.pair == pair) & (prepared.results.protocol == protocol)]
    rows = []
    for method, config in table_prep.configurations(results):
        if (method, config) not in have:
            bad = prepared.statuses(pair, method, config, protocol)
            verdict = table_prep.judge(Interval(), bad, empty=True)
            label = table_prep.label(method, config)
            rows.append(ShiftRow(label, False, "", name, NAN, NAN, NAN, NAN, Interval(), verdict))
    return rows


def _places(part: pd.DataFrame) -> set[tuple[object, ...]]:
    """The (data set, test_set, seed) that any method has."""
    return set(part[["dataset", "test_set", "seed"]].itertuples(index=False, name=None))


def failures(results: pd.DataFrame, backbones: Sequence[Mapping[str, Any]] = ()) -> list[FailureRow]:
    """Cells without values of cleaned results, grouped by pair, status and cause. ``backbones``: ``About.backbones``."""
    bad = results[results.status != "ok"]
    facts = {str(backbone.get("name")): backbone for backbone in backbones}
    places = bad[["old", "new", "reason"]].astype(str)
    known = {
        place: causes.cause(place[2], facts.get(place[0], {}), facts.get(place[1], {}))
        for place in places.drop_duplicates().itertuples(index=False, name=None)
    }
    named = bad.assign(cause=[known[place] for place in places.itertuples(index=False, name=None)])
    rows = []
    for key, part in named.groupby(["pair", "status", "cause"], sort=False, observed=True):
        pair, status, cause = (str(value) for value in key)
        reasons = part[["method", "config", "reason"]].drop_duplicates().astype(str)
        told = [(table_prep.label(method, config), reason) for method, config, reason in reasons.itertuples(index=False)]
        rows.append(
            FailureRow(
                pair=arrow(pair),
                cause=cause,
                status=status,
                methods=tuple(dict.fromkeys(label for label, _ in told)),
                reasons=() if parse_mismatch(told[0][1]) is None else tuple(f"{label}: {why}" for label, why in told),
                strategies=", ".join(dict.fromkeys(part.strategy)),
                datasets=", ".join(dict.fromkeys(part.dataset)),
                count=len(cells(part)),
            )
        )
    return rows


def cells(results: pd.DataFrame) -> set[tuple[object, ...]]:
    """The distinct evaluations that rows belong to: a module, a data set and a strategy."""
    names = ["pair", "method", "config", "dataset", "protocol", "seed", "strategy"]
    return set(results[names].itertuples(index=False, name=None))


def costs(runs: pd.DataFrame, methods: Mapping[str, Info]) -> list[CostRow]:
    """Training cost per method and configuration, over the training runs that ended well.

    The time is ``train_seconds``, that of the steps alone, where ``runs`` has it; else ``seconds``, that of the whole cell.
    """
    rows = []
    for key, part in _trained(runs).groupby(["method", "config"], sort=True):
        method, config = (str(value) for value in key)
        rows.append(
            CostRow(
                label=table_prep.label(method, config),
                runs=len(part),
                seconds=float(part.seconds.median()),
                total=float(part.seconds.sum()),
                parameters=(float(part.parameters.min()), float(part.parameters.max())),
                peak_mb=float(part.peak_mb.max()),
            )
        )
    return rows


def _trained(runs: pd.DataFrame) -> pd.DataFrame:
    """The training runs that ended well, with numeric columns."""
    done = runs[(runs.kind == "train") & (runs.status == "ok")].copy()
    for name in ("seconds", "peak_mb", "parameters"):
        done[name] = pd.to_numeric(done[name], errors="coerce")
    if "train_seconds" in done:
        done["seconds"] = pd.to_numeric(done["train_seconds"], errors="coerce").fillna(done["seconds"])
    done["config"] = done["config"].fillna("").astype(str)
    return done


def capabilities(tested: Sequence[Capability], runs: pd.DataFrame, methods: Mapping[str, Info]) -> list[CapabilityRow]:
    """What methods can do, with their training time in multiples of the reference's."""
    times = _relative(runs, next((name for name, info in methods.items() if info.reference), ""))
    return [
        CapabilityRow(
            label=method.name,
            changes=", ".join(method.changes),
            runs=", ".join(method.runs) or "none",
            depth=methods[method.name].depth,
            unseen=method.unseen,
            fits=(method.other_embedding, method.other_text, method.other_vision),
            needs_images=method.needs_images,
            parameters=methods[method.name].parameters,
            relative=times.get(method.name, NAN),
        )
        for method in tested
        if method.name in methods
    ]


def _relative(runs: pd.DataFrame, reference: str) -> dict[str, float]:
    """Median over (backbone, data set, protocol, seed) of a method's training time over the reference's."""
    place = ["backbone", "dataset", "protocol", "seed"]
    done = _trained(runs)
    if not {*place} <= set(done.columns) or done.empty:
        return {}
    seconds = done.pivot_table(index=place, columns="method", values="seconds")
    if reference not in seconds:
        return {}
    return {str(name): float(value) for name, value in seconds.div(seconds[reference], axis=0).median().items()}
