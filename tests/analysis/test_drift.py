"""Drift of tiny CLIPs, stage by stage."""

from __future__ import annotations

import math

import pandas as pd
import pytest
import torch

from benchmark.analysis import activations, drift
from benchmark.backbones.towers import tower
from benchmark.training.checks.contract import Bench


@pytest.fixture(scope="module")
def bench():
    with Bench.make() as made:
        yield made


def table(bench, old: str, new: str) -> pd.DataFrame:
    rows = drift.rows_of("a->b", bench.backbones[old], bench.backbones[new], bench.task, bench.store)
    return pd.DataFrame(rows, columns=drift.COLUMNS)


@pytest.mark.parametrize("name", ["native", "eva"])
def test_a_backbone_has_not_moved_from_itself(name, bench):
    found = table(bench, name, name)
    values = {metric: part.value for metric, part in found.groupby("metric")}
    assert (values["change"] == 0).all()
    assert values["cosine"].to_numpy() == pytest.approx(1)
    known = values["cka"].dropna()
    assert len(known) == len(values["cka"])
    assert known.to_numpy() == pytest.approx(1)
    assert {"input", "output", "class names", "block 1"} <= set(found.stage)


def test_other_weights_are_far(bench):
    found = table(bench, "native", "eva").set_index(["tower", "stage", "metric"]).value
    assert found["text", "block 1", "cosine"] < 0.9
    assert found["text", "output", "cka"] < 0.9
    assert math.isnan(found["vision", "block 1", "change"])  # other names
    assert math.isfinite(found["vision", "block 1", "cka"])


def test_stages_end_where_the_towers_do(bench):
    for backbone in (bench.backbones["native"], bench.backbones["eva"]):
        texts = ["a photo of a cat", "dog", "a very long bird"]
        features = activations.text_features(backbone, texts)
        assert len(features) == len(activations.stages(backbone, "text"))
        assert torch.allclose(features[-1], backbone.encode_texts(texts), atol=1e-5)
        bank = bench.store.testing(backbone, bench.task.tests[0].examples, pixels=True)
        images = activations.image_features(backbone, bank)
        assert len(images) == len(activations.stages(backbone, "vision"))
        assert torch.allclose(images[-1], backbone.encode_image(bank.all().pixels), atol=1e-5)


def test_padding_has_no_part_in_a_text(bench):
    """The same text, alone and beside a longer one."""
    backbone = bench.backbones["native"]
    alone, beside = (activations.text_features(backbone, texts) for texts in (["cat"], ["cat", "a photo of a small dog"]))
    for one, two in zip(alone, beside, strict=True):
        assert torch.allclose(one[0], two[0], atol=1e-5)


@pytest.mark.parametrize("name", ["native", "eva"])
def test_every_parameter_belongs_to_one_stage(name, bench):
    backbone = bench.backbones[name]
    found = [value for name in drift.TOWERS for stage in tower(backbone, name).stages() for value in stage.values()]
    owned = [value.data_ptr() for value in found]
    assert len(owned) == len(set(owned))
    every = {key: value for key, value in backbone.model.named_parameters() if not key.startswith("logit_")}
    assert {value.data_ptr() for value in every.values()} <= set(owned)


@pytest.mark.parametrize(
    ("count", "other", "expected"),
    [(4, 4, [0, 1, 2, 3]), (4, 6, [0, 1, 4, 5]), (6, 4, [0, 1, 1, 2, 2, 3]), (4, 1, [None, None, None, 0]), (1, 4, [3])],
)
def test_stages_are_matched_by_their_share_of_the_depth(count, other, expected):
    assert drift._matched(count, other) == expected
