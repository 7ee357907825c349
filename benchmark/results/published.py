"""What others report, beside what a run measured, where the configuration is the same (``published.yaml``)."""

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
    """The published figures that a run has a counterpart for; a module is compared where it was trained."""
    own = results[(results.status == "ok") & (results.metric == "accuracy")]
    own = own[own.strategy.isin(("old", "retrain")) & (own.config == "default")].copy()
    own["backbone"] = own.old.where(own.strategy == "old", own.new)
    own = own.drop_duplicates(["backbone", "method", "dataset", "test_set", "protocol", "shots", "split", "seed"])
    return [*_zero_shot(own, backbones, baseline), *_base_to_new(own, backbones)]


def _zero_shot(own: pd.DataFrame, backbones: Mapping[str, BackboneSpec], baseline: str) -> Iterator[PublishedRow]:
    about = _content()["zero_shot"]
    own = own[(own.method == baseline) & (own.split == "all")]
    for name, figure in _matching(about["figures"], backbones):
        for dataset, value in zip(about["datasets"], figure["values"], strict=False):
            tested = own.test_set.where(own.test_set != "", own.dataset)
            mine = own[(own.backbone == name) & (tested == dataset)].value
            if len(mine):
                measured = float(mine.mean())
                wrong = abs(measured - value) > about["band"]
                what = f"zero-shot accuracy on {dataset}"
                yield PublishedRow(name, baseline, what, value, measured, about["difference"], about["source"], wrong)


def _base_to_new(own: pd.DataFrame, backbones: Mapping[str, BackboneSpec]) -> Iterator[PublishedRow]:
    about = _content()["base_to_new"]
    own = own[(own.protocol == "base-to-new") & (own.test_set == "") & (own.shots == about["shots"])]
    for name, figure in _matching(about["figures"], backbones):
        mine = own[(own.backbone == name) & (own.method == figure["method"]) & own.dataset.isin(about["datasets"])]
        by_dataset = {part: mine[mine.split == part].groupby("dataset").value.mean() for part in ("base", "new")}
        if any(len(values) < len(about["datasets"]) for values in by_dataset.values()):
            continue
        means = {part: float(values.mean()) for part, values in by_dataset.items()}
        for part, mean in means.items():
            what = f"{part} accuracy, mean of {len(about['datasets'])} data sets"
            yield PublishedRow(name, figure["method"], what, figure[part], mean, "", figure["source"])
        h, measured = harmonic_mean(figure["base"], figure["new"]), harmonic_mean(means["base"], means["new"])
        yield PublishedRow(name, figure["method"], "H of these means", h, measured, about["difference"], figure["source"])


def _matching(figures: list[dict[str, Any]], backbones: Mapping[str, BackboneSpec]) -> Iterator[tuple[str, dict[str, Any]]]:
    for figure in figures:
        for name, spec in backbones.items():
            if (spec.model, spec.pretrained) == (figure["model"], figure["pretrained"]):
                yield name, figure
