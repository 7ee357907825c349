"""The tables of the report, each defined once for the page and for the files next to it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from benchmark.report.model import CapabilityRow, CostRow, FailureRow, MethodRow, OverviewRow, Scope, ShiftRow
from benchmark.report.numbers import count, duration, plural
from benchmark.report.table import NAN, Cell, Column, Interval, Listing, Share, Table, Text
from benchmark.results.metric import Metric, all_metrics, find_metric
from benchmark.results.provenance import DatasetAbout, PublishedRow

CAPTION = (
    "Lift: mean and interval, which decides the verdict and holds for all methods of the table at the same time (95 %). "
    "Gain: 95 % interval. They cover other few-shot draws, initialisations and test images, but not other data sets."
)


def headline_table(rows: Sequence[MethodRow], view: Scope, name: str, old: str, new: str) -> Table:
    """All methods on one upgrade: accuracies, what follows from them, and the metrics that the first table shows."""
    parts = ["Base", "New", view.split] if view.parts else ["Accuracy"]
    metrics = [metric for metric in all_metrics() if metric.in_headline and _measured(rows, metric.name)]
    columns = [
        Column("Method", numeric=False, key=True),
        Column("Verdict", numeric=False),
        Column("Lift", "Compared", first_of_group=True, interval=True, file_heading="Lift"),
        Column("Gain", "Compared", interval=True, file_heading="Gain"),
        Column("Retained", "Compared", file_heading="Retained"),
        *(Column(part, "Reuse", first_of_group=i == 0, main=i == len(parts) - 1) for i, part in enumerate(parts)),
        *(Column(part, "Old", first_of_group=i == 0) for i, part in enumerate(parts)),
        Column(view.word[0].upper() + view.word[1:], "Retrain", first_of_group=True),
    ]
    for metric in metrics:
        columns += _metric_columns(metric.name)
    return Table(
        f"upgrade {name}",
        tuple(columns),
        tuple(_headline_cells(row, view, metrics) for row in rows if not row.baseline),
        tuple(_headline_cells(row, view, metrics) for row in rows if row.baseline),
        caption=CAPTION,
        style="headline",
        group_titles={"Old": f"Old, on {old}", "Reuse": f"Reuse, on {new}", "Compared": f"Compared, in {view.word}"},
    )


def _headline_cells(row: MethodRow, view: Scope, metrics: Sequence[Metric]) -> tuple[Cell, ...]:
    old, reuse = (
        (values.base, values.new, values.main) if view.parts else (values.main,) for values in (row.old, row.reuse)
    )
    cells: list[Cell] = [row.label, _verdict(row), row.lift, row.gain, Share(row.retained), *reuse, *old, row.retrain]
    for metric in metrics:
        cells += _metric_cells(row, metric.name)
    return tuple(cells)


def _verdict(row: MethodRow) -> Text:
    if row.baseline:
        return Text("baseline", note=row.note)
    place = ""
    if row.rank:
        first, last = row.rank
        place = row.place or f"rank {first}" + ("" if first == last else f" to {last}")
    return Text(row.verdict, place, row.note, verdict=True)


def _strategies(metric: str) -> tuple[str, ...]:
    """The strategies that tables show: old and reuse, unless the metric compares the two."""
    known = find_metric(metric)
    strategies = known.strategies if known else ("old", "reuse")
    return tuple(strategy for strategy in strategies if strategy != "retrain")


def _group(metric: str) -> str:
    """What tables call a metric: its label, or the name of an unknown one."""
    known = find_metric(metric)
    return known.label[0].upper() + known.label[1:] if known else metric


def _metric_columns(metric: str) -> list[Column]:
    group = _group(metric)
    headings = ["Method"] if len(_strategies(metric)) == 1 else [strategy.capitalize() for strategy in _strategies(metric)]
    return [Column(heading, group, first_of_group=i == 0) for i, heading in enumerate([*headings, "Zero-shot"])]


def _metric_cells(row: MethodRow, metric: str) -> list[Cell]:
    strategies = _strategies(metric)
    zero_shot = row.metric(metric, strategies[-1], zero_shot=True)
    return [*(row.metric(metric, strategy) for strategy in strategies), zero_shot]


def _measured(rows: Sequence[MethodRow], metric: str) -> bool:
    return any(math.isfinite(row.metric(metric, strategy)) for row in rows for strategy in _strategies(metric))


def metrics_table(rows: Sequence[MethodRow], names: Sequence[str], name: str) -> Table | None:
    """The metrics that are not in the headline table, including unknown ones; None if there are none."""
    shown = [metric for metric in names if _measured(rows, metric) and not _in_headline(metric)]
    if not shown:
        return None
    columns = [Column("Method", numeric=False, key=True)]
    for metric in shown:
        columns += _metric_columns(metric)

    def cells(row: MethodRow) -> tuple[Cell, ...]:
        return (row.label, *(cell for metric in shown for cell in _metric_cells(row, metric)))

    return Table(
        f"other metrics {name}",
        tuple(columns),
        tuple(cells(row) for row in rows if not row.baseline),
        tuple(cells(row) for row in rows if row.baseline),
        caption="Other metrics, in the order of the table above.",
        group_titles={_group(metric): metric_label(metric) for metric in shown},
    )


def _in_headline(name: str) -> bool:
    metric = find_metric(name)
    return metric is not None and metric.in_headline


def metric_label(name: str) -> str:
    """What the page calls a metric, with its unit and direction; just the name of an unknown one."""
    metric = find_metric(name)
    if metric is None:
        return name
    return f"{_group(name)}, {metric.unit} ({'higher' if metric.higher_is_better else 'lower'} is better)"


def overview_table(rows: Sequence[OverviewRow], pairs: Sequence[str], view: Scope) -> Table:
    """Lift of every method on every upgrade, and its mean."""
    columns = (
        Column("Method", numeric=False, key=True),
        Column("Learns", numeric=False),
        *(Column(pair, verdict=True) for pair in pairs),
        Column("Mean of the upgrades", main=True, interval=True),
        Column("Upgrades"),
    )
    lines = tuple(
        (row.label, row.depth, *(_lift_cell(method) for method in row.rows), row.mean, f"{row.pairs} of {len(pairs)}")
        for row in rows
    )
    caption = (
        f"Lift in {view.word} over zero-shot on the new backbone, in points. Intervals hold for all methods of an upgrade "
        "at the same time (95 %)."
    )
    return Table(f"lift in {view.word} on all upgrades", columns, lines, caption=caption, style="narrow small")


def _lift_cell(row: MethodRow | None) -> Cell:
    if row is None:
        return ""
    return Text(row.verdict, verdict=True, lift=row.lift, sort=row.lift.mean)


def shift_table(rows: Sequence[ShiftRow], title: str, *, named: bool = False) -> Table:
    """Methods on one test set, or with ``named`` on several."""
    columns = [
        Column("Method", numeric=False, key=True),
        *(Column(heading, main=heading == "Reuse") for heading in ("Old", "Reuse", "Retrain", "Zero-shot new")),
        Column("Lift", interval=True),
        Column("Verdict", numeric=False),
    ]
    if named:
        columns = [Column("Trained on", numeric=False), Column("Tested on", numeric=False), *columns]
    return Table(
        title,
        tuple(columns),
        tuple(_shift_cells(row, named) for row in rows if not row.baseline),
        tuple(_shift_cells(row, named) for row in rows if row.baseline),
    )


def _shift_cells(row: ShiftRow, named: bool) -> tuple[Cell, ...]:
    missing = row.missing and math.isfinite(row.reuse)
    note = f"{row.missing} of {row.cells} cells have no value" if missing else ""
    verdict = Text("baseline") if row.baseline else Text(row.verdict, verdict=True)
    cells: tuple[Cell, ...] = (Text(row.label, note=note), row.old, row.reuse, row.retrain, row.zs_new, row.lift, verdict)
    return (row.dataset, row.test_set, *cells) if named else cells


def failure_table(rows: Sequence[FailureRow]) -> Table:
    """Evaluations without a value, by cause."""
    columns = (
        Column("Upgrade", numeric=False),
        Column("Cause", numeric=False, key=True, wide=True),
        Column("Status", numeric=False),
        Column("Evaluations"),
        Column("Methods", numeric=False, wide=True),
        Column("Strategies", numeric=False),
        Column("Data sets", numeric=False, wide=True),
        Column("Recorded reasons", numeric=False, wide=True),
    )
    return Table("failed and incompatible", columns, tuple(map(_failure_cells, rows)))


def _failure_cells(row: FailureRow) -> tuple[Cell, ...]:
    reasons = Listing(row.reasons, plural(len(row.reasons), "reason") if len(row.reasons) > 1 else "", "; ")
    cause = Text(row.cause, note=plural(len(row.methods), "method"))
    evaluations = Text(str(row.count), sort=row.count)
    return row.pair, cause, row.status, evaluations, Listing(row.methods), row.strategies, row.datasets, reasons


def cost_table(rows: Sequence[CostRow]) -> Table:
    """What the methods cost to train."""
    headings = ("Method", "Runs", "Median time", "Total time", "Learnt parameters", "Peak memory, MB")
    columns = tuple(Column(heading, numeric=i > 0, key=i == 0) for i, heading in enumerate(headings))
    return Table("costs", columns, tuple(_cost_cells(row) for row in rows))


def _cost_cells(row: CostRow) -> tuple[Cell, ...]:
    fewest, most = row.parameters
    parameters = count(fewest) + (f" to {count(most)}" if most > fewest else "")
    return (
        row.label,
        Text(str(row.runs), sort=row.runs),
        Text(duration(row.seconds), sort=row.seconds),
        Text(duration(row.total), sort=row.total),
        Text(parameters, sort=most),
        Text(count(row.peak_mb), sort=row.peak_mb),
    )


def capability_table(rows: Sequence[CapabilityRow], reference: str) -> Table:
    """What the methods can do; ``reference`` is the method whose training time is 1."""
    texts = (
        "Method",
        "Changes features of",
        "Towers run in training",
        "Learns",
        "Unseen classes",
        "Other embedding width",
        "Other text width",
        "Other kind of image tower",
        "Keeps images",
    )
    columns = (
        *(Column(heading, numeric=False, key=i == 0) for i, heading in enumerate(texts)),
        Column("Training time" + (f", {reference} = 1" if reference else "")),
        Column("Learnt parameters", numeric=False, code=True, wide=True),
    )
    lines: tuple[tuple[Cell, ...], ...] = tuple(
        (
            row.label,
            row.changes,
            row.runs,
            row.depth,
            "yes" if row.unseen else "no",
            *("fits" if fits else "no" for fits in row.fits),
            "yes" if row.needs_images else "no",
            row.relative,
            row.parameters,
        )
        for row in rows
    )
    return Table("capabilities", columns, lines, style="narrow")


def published_table(rows: Sequence[PublishedRow]) -> Table:
    """Published values next to the measured ones."""
    columns = (
        Column("Backbone", numeric=False),
        Column("Method", numeric=False, key=True),
        Column("Value", numeric=False),
        Column("Published"),
        Column("Measured", main=True),
        Column("Measured minus published", interval=False),
        Column("What differs", numeric=False, wide=True),
        Column("Source", numeric=False, wide=True),
    )
    lines = tuple(
        (
            row.backbone,
            row.method,
            Text(row.what, note="Too far off: check weights, activation and data" if row.wrong else ""),
            row.published,
            row.measured,
            Interval(row.measured - row.published),
            row.difference,
            row.source,
        )
        for row in rows
    )
    return Table("published values", columns, lines)


def backbone_table(backbones: Sequence[Mapping[str, Any]]) -> Table:
    """What the backbones are."""
    columns = (
        Column("Name", numeric=False, key=True),
        Column("What it is", numeric=False, wide=True),
        Column("Model", numeric=False, wide=True, code=True),
        *(Column(heading, digits=0) for heading in ("Embedding width", "Text width", "Context")),
        Column("Hash of the weights", numeric=False, wide=True, code=True),
    )
    lines: tuple[tuple[Cell, ...], ...] = tuple(
        (
            str(backbone.get("name") or ""),
            Text(str(backbone.get("title") or ""), note=str(backbone.get("note") or "")),
            str(backbone.get("model") or ""),
            *(_size(backbone.get(name)) for name in ("embed_dim", "text_width", "context_length")),
            str(backbone.get("digest") or ""),
        )
        for backbone in backbones
    )
    return Table("backbones", columns, lines)


def dataset_table(datasets: Mapping[str, DatasetAbout], notes: Mapping[str, str]) -> Table:
    """What the data sets are, with licence and attribution."""
    columns = (
        Column("Name", numeric=False, key=True),
        *(Column(heading, digits=0) for heading in ("Classes", "Train", "Test")),
        Column("Template", numeric=False, code=True),
        Column("Shift of", numeric=False),
        Column("Licence", numeric=False),
        Column("Source and attribution", numeric=False, wide=True),
    )
    lines: tuple[tuple[Cell, ...], ...] = tuple(
        (
            Text(dataset.name, note=f"{dataset.title}: {notes[dataset.name]}" if dataset.name in notes else dataset.title),
            float(dataset.classes),
            float(dataset.train),
            float(dataset.test),
            dataset.template,
            dataset.shift_of or "",
            dataset.licence,
            dataset.source,
        )
        for dataset in datasets.values()
    )
    return Table("data sets", columns, lines)


def _size(value: object) -> float:
    return float(value) if isinstance(value, int | float) and value else NAN
