"""Class features moved as on the old backbone."""

from __future__ import annotations

import pytest
import torch
from fixtures.analyses import case_of, module_of
from torch.nn import functional as F

from benchmark.analysis.repairs.joint_offset import JointOffset
from benchmark.method.space_maps import procrustes, word_vectors
from benchmark.method.terms import Incompatible
from benchmark.training.modules import attach


@pytest.fixture(autouse=True)
def few_words(monkeypatch):
    """The tiny CLIPs have about a dozen."""
    for place in ("space_maps", "relatedness"):
        monkeypatch.setattr(f"benchmark.method.{place}.FEWEST", 8)


@pytest.mark.parametrize("new", ["eva", "narrow"])
def test_the_formula(new, bench):
    case = case_of(bench, module_of(bench, "coop"), new)
    repaired, module = JointOffset().apply(case), case.module
    before, after = word_vectors(case.old, case.new, "features", "a photo of a {}.")
    rotation = procrustes(before - before.mean(0), after - after.mean(0))
    for test in case.task.tests:
        with torch.no_grad():
            tuned = attach(module.cls, module.config, case.old, case.task.class_list(test), module.tensors).class_features()
            texts = case.task.class_list(test).texts()
            old, ours = (F.normalize(on.encode_texts(texts), dim=-1) for on in (case.old, case.new))
            change = (F.normalize(tuned, dim=-1) - old) @ rotation
            images = F.normalize(bench.store.testing(case.new, test.examples, pixels=False).all().features, dim=-1)
        scale = case.old.logit_scale / case.new.logit_scale * repaired.notes["factor"]
        expected = case.new.logit_scale * images @ (ours + scale * change).T
        torch.testing.assert_close(repaired.scorer(test), expected, atol=1e-3, rtol=1e-3)


def test_an_identity_upgrade_gives_the_module(bench):
    case = case_of(bench, module_of(bench, "clip-lora-text"), "native")
    for test in case.task.tests:
        torch.testing.assert_close(JointOffset().apply(case).scorer(test), case.reused(test), atol=1e-2, rtol=1e-3)


@pytest.mark.parametrize("name", ["clip-adapter", "clip-lora"])
def test_a_module_that_changes_images_is_refused(name, bench):
    with pytest.raises(Incompatible, match="image features too"):
        JointOffset().apply(case_of(bench, module_of(bench, name), "eva"))


def test_a_module_with_scores_of_its_own_is_refused(bench):
    for name in ("cocoop", "tip-adapter-f"):
        assert "more than change the class features" in JointOffset().incompatibility(module_of(bench, name))
