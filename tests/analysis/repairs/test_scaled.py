"""Changes times relatedness, and no changes at all."""

from __future__ import annotations

import pytest
import torch
from fixtures.analyses import case_of, module_of

from benchmark.analysis.repairs.scaled import Scaled, Unchanged
from benchmark.method.relatedness import relatedness


@pytest.fixture(autouse=True)
def few_words(monkeypatch):
    """The tiny CLIPs have about a dozen."""
    for place in ("space_maps", "relatedness"):
        monkeypatch.setattr(f"benchmark.method.{place}.FEWEST", 8)


@pytest.mark.parametrize(("name", "space"), [("clip-lora-text", "tokens"), ("taskres", "features")])
def test_changes_are_multiplied_and_places_are_not(name, space, bench):
    case = case_of(bench, module_of(bench, name), "twin")
    factor = max(0.0, relatedness(case.old, case.new, space))
    repaired = Scaled().apply(case)
    changes = [tensor for tensor in case.module.tensors if case.module.cls.is_offset(tensor)]
    assert changes
    for tensor, value in case.module.tensors.items():
        expected = value * factor if tensor in changes else value
        torch.testing.assert_close(repaired.tensors[tensor], expected)
    assert (repaired.images, repaired.labels, repaired.steps) == (0, 0, 0)


def test_an_identity_upgrade_scales_nothing(bench):
    case = case_of(bench, module_of(bench, "layernorm-text"), "native")
    for name, value in Scaled().apply(case).tensors.items():
        assert torch.equal(value, case.module.tensors[name])


def test_what_cannot_be_scaled_says_why(bench):
    assert "no changes" in Scaled().incompatibility(module_of(bench, "coop"))
    assert "itself" in Scaled().incompatibility(module_of(bench, "coop-offset"))
    assert Unchanged().incompatibility(module_of(bench, "coop-offset")) is None


def test_without_its_changes_lora_is_zero_shot(bench):
    case = case_of(bench, module_of(bench, "clip-lora-text"), "twin")
    for test in case.task.tests:
        torch.testing.assert_close(Unchanged().apply(case).scorer(test), case.zero_shot(case.new)(test))
