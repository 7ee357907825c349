"""Published values of configurations that a run has too (``published.yaml``), next to the measured ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from benchmark.config.schema import BackboneSpec
from benchmark.results.metric import harmonic_mean
from benchmark.results.provenance import PublishedRow

FILE = Path(__file__).with_suffix(".yaml")


@lru_cache(maxsize=1)
def _content() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return content


def compare(results: pd.DataFrame, backbones: Mapping[str, BackboneSpec], baseline: str) -> list[PublishedRow]:
    """The published values that a run has a counterpart for; a module is compared on the backbone it was trained on."""
    own = results[(results.status == "ok") & (results.metric == "accuracy")]
    own = own[own.strategy.isin(("old", "retrain")) & (own.config == "default")].copy()
    own["backbone"] = own.old.where(own.strategy == "old", own.new)
    own = own.drop_duplicates(["backbone", "method", "dataset", "test_set", "protocol", "shots", "split", "seed"])
    return [*_zero_shot(own, backbones, baseline), *_base_to_new(own, backbones)]


def _zero_shot(own: pd.DataFrame, backbones: Mapping[str, BackboneSpec], baseline: str) -> Iterator[PublishedRow]:
    about = _content()["zero_shot"]
    own = own[(own.method == baseline) & (own.split == "all")]
    for name, row in _matching(about["rows"], backbones):
        for dataset, value in zip(about["datasets"], row["values"], strict=False):
            tested = own.test_set.where(own.test_set != "", own.dataset)
            values = own[(own.backbone == name) & (tested == dataset)].value
            if len(values):
                measured = float(values.mean())
                wrong = abs(measured - value) > about["band"]
                what = f"zero-shot accuracy on {dataset}"
                yield PublishedRow(name, baseline, what, value, measured, about["difference"], about["source"], wrong)


def _base_to_new(own: pd.DataFrame, backbones: Mapping[str, BackboneSpec]) -> Iterator[PublishedRow]:
    about = _content()["base_to_new"]
    own = own[(own.protocol == "base-to-new") & (own.test_set == "") & (own.shots == about["shots"])]
    for name, row in _matching(about["rows"], backbones):
        runs = own[(own.backbone == name) & (own.method == row["method"]) & own.dataset.isin(about["datasets"])]
        by_dataset = {part: runs[runs.split == part].groupby("dataset").value.mean() for part in ("base", "new")}
        if any(len(values) < len(about["datasets"]) for values in by_dataset.values()):
            continue
        means = {part: float(values.mean()) for part, values in by_dataset.items()}
        for part, mean in means.items():
            what = f"{part} accuracy, mean of {len(about['datasets'])} data sets"
            yield PublishedRow(name, row["method"], what, row[part], mean, "", row["source"])
        h, measured = harmonic_mean(row["base"], row["new"]), harmonic_mean(means["base"], means["new"])
        yield PublishedRow(name, row["method"], "H of these means", h, measured, about["difference"], row["source"])


def _matching(rows: list[dict[str, Any]], backbones: Mapping[str, BackboneSpec]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of ``published.yaml`` about backbones of the run, with the backbone's name."""
    for row in rows:
        for name, spec in backbones.items():
            if (spec.model, spec.pretrained) == (row["model"], row["pretrained"]):
                yield name, row
