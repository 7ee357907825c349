"""Drift: how far the new backbone is from the old one, stage by stage.

For each tower and stage: the relative change of the parameters, where names and shapes agree; and how alike the features
are, by linear CKA (any width) and mean cosine (equal widths). Text features are those of the task's class prompts, image
features those of its test images. Source: Wang et al. 2024, the analysis that motivates ContCoOp.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator

import pandas as pd
import torch

from benchmark.analysis import activations
from benchmark.analysis.activations import NAMES
from benchmark.analysis.similarity import cosine, linear_cka, relative_change
from benchmark.analysis.study import Setting
from benchmark.backbones.attention import Tower
from benchmark.backbones.clip import Backbone
from benchmark.data.features import FeatureStore
from benchmark.data.task import Task

COLUMNS = "pair tower order stage metric value n".split()
"""``metric`` is change (of parameters), cka or cosine (of features); ``n`` counts tensors or items."""
TOWERS: tuple[Tower, ...] = ("text", "vision")


def arguments(parser: argparse.ArgumentParser) -> None:
    """No options of its own."""


def run(setting: Setting, options: argparse.Namespace) -> pd.DataFrame:
    """The drift of every upgrade."""
    task = setting.tasks()[0]
    store = FeatureStore(setting.session.context.cache)
    rows = []
    for old, new in setting.pairs:
        rows += list(rows_of(f"{old}->{new}", setting.backbone(old), setting.backbone(new), task, store))
    return pd.DataFrame(rows, columns=COLUMNS)


def rows_of(pair: str, old: Backbone, new: Backbone, task: Task, store: FeatureStore) -> Iterator[tuple[object, ...]]:
    """Rows of one pair. Stages of towers with other numbers of blocks are matched by their share of the depth."""
    for tower in TOWERS:
        names = activations.stages(old, tower)
        matched = _matched(len(names), len(activations.stages(new, tower)))
        weights = [activations.parameters(each, tower) for each in (old, new)]
        features = [_features(each, tower, task, store) for each in (old, new)]
        for order, name in enumerate(names):
            other = matched[order]
            if other is None:
                continue
            found = {"change": relative_change(weights[0][order], weights[1][other])}
            found["cka"] = linear_cka(features[0][order], features[1][other])
            found["cosine"] = cosine(features[0][order], features[1][other])
            for metric, value in found.items():
                count = len(weights[0][order]) if metric == "change" else len(features[0][order])
                yield pair, tower, order, name, metric, _rounded(value), count
    classes = _classes(task)
    embedded = [activations.name_embeddings(each, classes) for each in (old, new)]
    for metric, value in (("cka", linear_cka(*embedded)), ("cosine", cosine(*embedded))):
        yield pair, "text", -1, NAMES, metric, _rounded(value), len(classes)


def _features(backbone: Backbone, tower: Tower, task: Task, store: FeatureStore) -> list[torch.Tensor]:
    if tower == "text":
        template = task.class_list().template
        return activations.text_features(backbone, [template.format(name) for name in _classes(task)])
    bank = store.testing(backbone, task.tests[0].examples, pixels=True)
    return activations.image_features(backbone, bank)


def _classes(task: Task) -> list[str]:
    """All classes of the task, those to train on and those not, as sentences have them."""
    names = dict.fromkeys(name for test in task.tests for name in test.classes)
    return [name.replace("_", " ") for name in names]


def _matched(count: int, other: int) -> list[int | None]:
    """For each of ``count`` stages the one of ``other`` at the same share of the depth; input to input, output to output. A
    tower with its output alone has nothing for other stages."""
    if count == other:
        return list(range(count))
    if min(count, other) < 3:
        return [*[None] * (count - 1), other - 1]
    inner = [1 + round(i * (other - 3) / max(1, count - 3)) for i in range(count - 2)]
    return [0, *inner, other - 1]


def _rounded(value: float) -> float:
    return round(value, 6) if math.isfinite(value) else value
