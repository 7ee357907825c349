"""Tables as papers print them: methods by data sets for LaTeX, and the same upgrade as plain numbers for other programs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import pandas as pd

from benchmark.config.files import slug
from benchmark.report.model import MethodRow, Scope
from benchmark.report.numbers import DASH, number, signed
from benchmark.report.table_prep import Prepared

STRATEGIES = ("old", "reuse", "retrain")
SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
SPECIAL |= {character: f"\\{character}" for character in "&%$#_{}"}
SIGNS = {"\N{MINUS SIGN}": "$-$", "\N{RIGHTWARDS ARROW}": r"$\rightarrow$", DASH: "--"}


def files(prepared: Prepared, rows: Sequence[MethodRow], view: Scope, name: str) -> Iterator[tuple[str, str]]:
    """Names and contents of the files of one upgrade: both tables for LaTeX, and the numbers as CSV. The arguments are those
    of ``latex``."""
    stem = slug(name)
    yield f"paper-{stem}.tex", latex(prepared, rows, view, name)
    splits = splits_latex(prepared, rows, view, name)
    if splits:
        yield f"paper-splits-{stem}.tex", splits
    yield f"values-{stem}.csv", numbers_of(rows).to_csv(index=False, lineterminator="\n")


def latex(prepared: Prepared, rows: Sequence[MethodRow], view: Scope, name: str) -> str:
    """Old, reuse and retrain of every method on every data set of one upgrade, means over seeds, and the mean lift.

    The highest reuse of a data set is bold. In the last column the best method and those that are not significantly worse
    are bold. The table needs the package booktabs.

    Args:
        prepared: The results of the run.
        rows: The headline rows of the upgrade.
        view: What they are about.
        name: Of the upgrade.
    """
    values = _by_dataset(prepared, rows[0].pair, view)
    datasets = list(dict.fromkeys(values.index.get_level_values("dataset")))
    highest = {data: _highest(values, rows, data) for data in datasets}
    groups = " & ".join(rf"\multicolumn{{{len(STRATEGIES)}}}{{c}}{{{escaped(data)}}}" for data in datasets)
    spans = (range(2 + len(STRATEGIES) * i, 2 + len(STRATEGIES) * (i + 1)) for i in range(len(datasets)))
    lines = [
        f"% {escaped(name)}, {view.protocol}, {view.word} in per cent, means over seeds",
        rf"\begin{{tabular}}{{l{' rrr' * len(datasets)} r}}",
        r"\toprule",
        rf" & {groups} & \\",
        " ".join(rf"\cmidrule(lr){{{span[0]}-{span[-1]}}}" for span in spans),
        rf"Method & {' & '.join(['Old & Reuse & Retrain'] * len(datasets))} & Lift \\",
        r"\midrule",
    ]
    for row in rows:
        cells = [_cell(values, row, data, strategy, highest[data]) for data in datasets for strategy in STRATEGIES]
        lines.append(rf"{escaped(row.label)} & {' & '.join(cells)} & {_lift(row)} \\")
        if row.baseline:
            lines.append(r"\midrule")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def splits_latex(prepared: Prepared, rows: Sequence[MethodRow], view: Scope, name: str) -> str:
    """Base, new and H of every method, on the old backbone and reused on the new one: a block for the average and one for
    each data set, as papers since CoCoOp (Zhou et al. 2022b, table 1) compare methods. Empty if there are no base classes.

    The highest values of a block are bold; the baseline, which comes first, does not take part. The arguments are those of
    ``latex``.
    """
    if not view.parts:
        return ""
    table = prepared.table
    table = table[(table.pair == rows[0].pair) & (table.protocol == view.protocol) & (table.test_set == "")]
    by_dataset = table.groupby(["dataset", "method", "config", "split"], sort=False, observed=True)[["old", "reuse"]].mean()
    datasets = list(dict.fromkeys(by_dataset.index.get_level_values("dataset")))
    average = by_dataset.groupby(level=["method", "config", "split"], sort=False, observed=True).mean()
    splits = (*view.parts, view.split)
    count = f"average of {len(datasets)} data sets" if len(datasets) > 1 else ""
    blocks = ([(count, average)] if count else []) + [(data, by_dataset.loc[data]) for data in datasets]
    headings = " & ".join(split.capitalize() for split in splits)
    lines = [
        f"% {escaped(name)}, {view.protocol}, per cent, means over seeds",
        r"\begin{tabular}{l rrr rrr}",
        r"\toprule",
        rf" & \multicolumn{{3}}{{c}}{{{escaped(name.split()[0])}}} & \multicolumn{{3}}{{c}}{{{escaped(name)}}} \\",
        r"\cmidrule(lr){2-4} \cmidrule(lr){5-7}",
        rf"Method & {headings} & {headings} \\",
    ]
    for title, values in blocks:
        lines += [r"\midrule", rf"\multicolumn{{7}}{{l}}{{\itshape {escaped(title)}}} \\"]
        lines += _block(values, rows, [(strategy, split) for strategy in ("old", "reuse") for split in splits])
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _block(values: pd.DataFrame, rows: Sequence[MethodRow], columns: Sequence[tuple[str, str]]) -> list[str]:
    """The lines of one block. ``values``: old and reuse by method, config and split."""

    def value(row: MethodRow, strategy: str, split: str) -> float:
        found: float = values[strategy].get((row.method, row.config, split), math.nan)
        return found

    highest = []
    for column in columns:
        known = [round(value(row, *column), 1) for row in rows if not row.baseline]
        highest.append(max(filter(math.isfinite, known), default=math.nan))
    lines = []
    for row in rows:
        cells = []
        for column, best in zip(columns, highest, strict=True):
            own = value(row, *column)
            text = escaped(number(own))
            cells.append(rf"\textbf{{{text}}}" if round(own, 1) == best and not row.baseline else text)
        lines.append(rf"{escaped(row.label)} & {' & '.join(cells)} \\")
    return lines


def numbers_of(rows: Sequence[MethodRow]) -> pd.DataFrame:
    """One row for each method of an upgrade: values, bounds of intervals and verdict in columns of their own."""
    return pd.DataFrame(
        {
            "pair": row.pair,
            "method": row.method,
            "config": row.config,
            "verdict": row.verdict,
            "lift": row.lift.mean,
            "lift_low": row.lift.low,
            "lift_high": row.lift.high,
            "gain": row.gain.mean,
            "gain_low": row.gain.low,
            "gain_high": row.gain.high,
            "retained": row.retained.mean,
            "retained_low": row.retained.low,
            "retained_high": row.retained.high,
            "old": row.old.main,
            "reuse": row.reuse.main,
            "retrain": row.retrain,
            "zero_shot": row.zs_new,
            "rank_best": row.rank[0] if row.rank else math.nan,
            "rank_worst": row.rank[1] if row.rank else math.nan,
        }
        for row in rows
    ).round(4)


def escaped(text: str) -> str:
    """A text for LaTeX."""
    return "".join(SPECIAL.get(character, SIGNS.get(character, character)) for character in text)


def _by_dataset(prepared: Prepared, pair: str, view: Scope) -> pd.DataFrame:
    """Means over seeds by method, config and data set."""
    table = prepared.table
    table = table[(table.pair == pair) & (table.protocol == view.protocol) & (table.split == view.split)]
    table = table[table.test_set == ""]
    return table.groupby(["method", "config", "dataset"], sort=False, observed=True)[list(STRATEGIES)].mean()


def _highest(values: pd.DataFrame, rows: Sequence[MethodRow], dataset: str) -> float:
    """The highest reuse on a data set, as it is printed."""
    found = [_value(values, row, dataset, "reuse") for row in rows]
    return max((round(value, 1) for value in found if math.isfinite(value)), default=math.nan)


def _value(values: pd.DataFrame, row: MethodRow, dataset: str, strategy: str) -> float:
    found: float = values[strategy].get((row.method, row.config, dataset), math.nan)
    return found


def _cell(values: pd.DataFrame, row: MethodRow, dataset: str, strategy: str, highest: float) -> str:
    value = math.nan if row.baseline and strategy == "retrain" else _value(values, row, dataset, strategy)
    text = escaped(number(value))
    return rf"\textbf{{{text}}}" if strategy == "reuse" and round(value, 1) == highest else text


def _lift(row: MethodRow) -> str:
    if not math.isfinite(row.lift.mean):
        return escaped(DASH)
    half = rf" {{\scriptsize$\pm$\,{number(row.lift.half)}}}" if row.lift.known else ""
    text = escaped(signed(row.lift.mean))
    return (rf"\textbf{{{text}}}" if row.place else text) + half
