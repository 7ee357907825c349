"""Drift: how far the new backbone is from the old one, stage by stage.

For each tower and stage: the relative change of the parameters, where names and shapes agree; and how alike the features
are, by linear CKA (any width) and mean cosine (equal widths). Text features are those of the task's class prompts, image
features those of its test images. Source: Wang et al. 2024, the analysis that motivates ContCoOp.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pandas as pd
import torch

from benchmark.analysis import activations
from benchmark.analysis.activations import NAMES
from benchmark.analysis.base import Analysis
from benchmark.analysis.similarity import cosine, linear_cka, relative_change
from benchmark.analysis.study import Study
from benchmark.backbones.clip import Backbone
from benchmark.backbones.towers import TowerName, tower
from benchmark.data.features import FeatureStore
from benchmark.data.task import Task

ROW = ("pair", "tower", "order", "stage", "metric", "value", "n")
TOWERS: tuple[TowerName, ...] = ("text", "vision")


class Drift(Analysis):
    """How far the new backbone is from the old one, stage by stage."""

    name = "drift"
    title = "Drift of the backbone"
    question = "How far do parameters and features move in each layer of the two towers?"
    explains = True
    text_columns = ("pair", "tower", "stage", "metric")
    """``metric`` is change (of parameters), cka or cosine (of features)."""
    number_columns = ("order", "value", "n")
    """``n`` counts tensors or items."""

    def run(self, study: Study, settings: Any) -> pd.DataFrame:
        task, store = study.tasks()[0], FeatureStore(study.session.context.cache)
        rows = [
            row
            for old, new in study.pairs
            for row in rows_of(f"{old}->{new}", study.backbone(old), study.backbone(new), task, store)
        ]
        return pd.DataFrame(rows, columns=ROW)

    def overview(self, table: pd.DataFrame) -> tuple[str, pd.DataFrame]:
        wide = table.pivot_table(index=["tower", "order", "stage", "metric"], columns="pair", values="value", sort=True)
        return "drift", wide.droplevel("order").round(2)


def rows_of(pair: str, old: Backbone, new: Backbone, task: Task, store: FeatureStore) -> Iterator[tuple[object, ...]]:
    """Rows of one pair. Stages of towers with other numbers of blocks are matched by their share of the depth."""
    for name in TOWERS:
        stages = activations.stages(old, name)
        matched = _matched(len(stages), len(activations.stages(new, name)))
        weights = [tower(backbone, name).stages() for backbone in (old, new)]
        features = [_features(backbone, name, task, store) for backbone in (old, new)]
        for order, stage in enumerate(stages):
            other = matched[order]
            if other is None:
                continue
            values = {"change": relative_change(weights[0][order], weights[1][other])}
            values["cka"] = linear_cka(features[0][order], features[1][other])
            values["cosine"] = cosine(features[0][order], features[1][other])
            for metric, value in values.items():
                count = len(weights[0][order]) if metric == "change" else len(features[0][order])
                yield pair, name, order, stage, metric, _rounded(value), count
    classes = _classes(task)
    embedded = [activations.name_embeddings(backbone, classes) for backbone in (old, new)]
    for metric, value in (("cka", linear_cka(*embedded)), ("cosine", cosine(*embedded))):
        yield pair, "text", -1, NAMES, metric, _rounded(value), len(classes)


def _features(backbone: Backbone, name: TowerName, task: Task, store: FeatureStore) -> list[torch.Tensor]:
    if name == "text":
        template = task.class_list().template
        return activations.text_features(backbone, [template.format(class_name) for class_name in _classes(task)])
    bank = store.testing(backbone, task.tests[0].examples, pixels=True)
    return activations.image_features(backbone, bank)


def _classes(task: Task) -> list[str]:
    """All classes of the task, base and new, with spaces for underscores."""
    names = dict.fromkeys(name for test in task.tests for name in test.classes)
    return [name.replace("_", " ") for name in names]


def _matched(count: int, other: int) -> list[int | None]:
    """For each of ``count`` stages the one of ``other`` at the same share of the depth; input to input, output to output. A
    tower that has only an output matches no other stage."""
    if count == other:
        return list(range(count))
    if min(count, other) < 3:
        return [*[None] * (count - 1), other - 1]
    inner = [1 + round(i * (other - 3) / max(1, count - 3)) for i in range(count - 2)]
    return [0, *inner, other - 1]


def _rounded(value: float) -> float:
    return round(value, 6) if math.isfinite(value) else value
