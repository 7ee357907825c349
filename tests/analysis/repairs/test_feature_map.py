"""Image features of the new backbone in the old joint space."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from fixtures.analyses import case_of, module_of

from benchmark.analysis.repairs.feature_map import FeatureMap, FeatureMlp, FeatureRidge, RotatedBoth, RotatedBothZeroShot
from benchmark.method.terms import Incompatible
from benchmark.training.checks import tiny_clips

KINDS = (FeatureMap, FeatureRidge, FeatureMlp)


@pytest.mark.parametrize("kind", KINDS)
def test_a_rotated_and_shifted_space_is_mapped_back(kind):
    """Where the truth is such a map, every kind finds it."""
    torch.manual_seed(0)
    old = torch.nn.functional.normalize(torch.randn(300, 12), dim=-1)
    turn = torch.linalg.qr(torch.randn(12, 12))[0]
    new = old @ turn + 0.1
    back = kind().fitted(new[:200], old[:200])(new[200:])
    assert torch.nn.functional.cosine_similarity(back, old[200:]).min() > 0.99


def test_words_tell_of_directions_that_few_images_do_not():
    torch.manual_seed(0)
    old = torch.nn.functional.normalize(torch.randn(300, 24), dim=-1)
    turn = torch.linalg.qr(torch.randn(24, 24))[0]
    new = old @ turn
    words = (new[:200] - 0.2, old[:200] - 0.1)  # another mean: the modality gap
    alone, helped = (FeatureMap().fitted(new[200:210], old[200:210], w)(new[210:]) for w in (None, words))
    assert torch.nn.functional.cosine_similarity(helped, old[210:]).min() > 0.99
    assert torch.nn.functional.cosine_similarity(alone, old[210:]).mean() < 0.9


def test_the_network_is_better_where_the_truth_is_not_linear():
    torch.manual_seed(0)
    new = torch.randn(600, 8)
    old = torch.tanh(2 * new) @ torch.randn(8, 8)
    agreements = []
    for kind in (FeatureMap, FeatureMlp):
        back = kind().fitted(new[:500], old[:500])(new[500:])
        agreements.append(float(torch.nn.functional.cosine_similarity(back, old[500:]).mean()))
    assert agreements[1] > agreements[0] + 0.02


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["clip-adapter", "coop", "tip-adapter-f"])
def test_modules_work_through_it_whatever_the_width(kind, name, bench):
    case = case_of(bench, module_of(bench, name), "narrow")
    repaired = kind().apply(case)
    assert (repaired.images, repaired.labels) == (len(bench.task.train), 0)
    assert -1 <= repaired.notes["held_out_cosine"] <= 1
    scores = [repaired.scorer(test) for test in case.task.tests]
    assert all(each is None or torch.isfinite(each).all() for each in scores)
    again = kind().apply(case).scorer(case.task.tests[0])
    assert torch.equal(scores[0], again), "the same each time"


def test_an_identity_upgrade_gives_the_module(bench):
    """With more images than the embedding has dimensions."""
    case = case_of(bench, module_of(bench, "coop"), "native")
    case = replace(case, task=replace(case.task, train=tiny_clips.examples(4, 40, 5)))
    for test in case.task.tests:
        torch.testing.assert_close(FeatureMap().apply(case).scorer(test), case.kept(test), atol=1e-2, rtol=1e-2)


def test_a_module_inside_the_image_tower_is_refused(bench):
    with pytest.raises(Incompatible, match="inside the image tower"):
        FeatureMap().apply(case_of(bench, module_of(bench, "clip-lora"), "eva"))


def test_rotated_back_and_zero_shot_are_averaged(bench):
    case = case_of(bench, module_of(bench, "clip-adapter"), "narrow")
    repaired, rotated = (kind().apply(case) for kind in (RotatedBoth, FeatureMap))
    assert (repaired.images, repaired.labels) == (len(bench.task.train), 0)
    for test in case.task.tests:
        parts = rotated.scorer(test).softmax(1), case.zero_shot(case.new)(test).softmax(1)
        torch.testing.assert_close(repaired.scorer(test).softmax(1), (parts[0] + parts[1]) / 2)


def test_its_control_has_no_module(bench):
    one, other = (case_of(bench, module_of(bench, name), "narrow") for name in ("clip-adapter", "coop"))
    assert RotatedBothZeroShot().control
    for test in one.task.tests:
        first, second = (RotatedBothZeroShot().apply(case).scorer(test) for case in (one, other))
        assert torch.equal(first, second)
