"""Ridge map: which modules it carries, and that an identity upgrade leaves them as they are."""

from __future__ import annotations

import pytest
import torch
from fixtures.analyses import case_of, module_of, only
from fixtures.household import IDENTITY

from benchmark.analysis.repair_base import Case
from benchmark.analysis.repairs.ridge import Ridge
from benchmark.method.terms import Incompatible


def case(bench, name: str, new: str) -> Case:
    return case_of(bench, module_of(bench, name), new)


@pytest.mark.parametrize(("name", "matrix"), [("clip-adapter", "adapter.0.weight"), ("cocoop", "weight")])
def test_a_module_with_a_matrix_is_refused_with_a_reason(bench, name, matrix):
    reason = Ridge().incompatibility(module_of(bench, name))
    assert reason is not None
    assert matrix in reason
    assert "acts on vectors of the space" in reason


def test_vectors_are_carried_and_what_has_no_space_is_not(bench):
    assert Ridge().incompatibility(module_of(bench, "coop")) is None
    assert "no space" in str(Ridge().incompatibility(module_of(bench, "clip-lora")))
    assert Ridge().incompatibility(module_of(bench, "zero-shot")) == "it has no learnt tensors to map"


def test_an_identity_upgrade_gives_nearly_the_same_module(bench):
    given = case(bench, "coop", "native")
    repaired = Ridge().apply(given)
    assert (repaired.images, repaired.labels, repaired.steps) == (0, 0, 0)
    for name, value in given.module.tensors.items():
        assert torch.allclose(repaired.tensors[name], value, atol=1e-3 * float(value.abs().max())), name


def test_another_width_is_reached(bench):
    repaired = Ridge().apply(case(bench, "coop", "wide"))
    (context,) = repaired.tensors.values()
    assert context.shape[-1] == bench.backbones["wide"].text_width


def test_too_few_shared_words_is_incompatible(bench, monkeypatch):
    monkeypatch.setattr("benchmark.method.space_maps.shared_words", lambda *_: ["cat"])
    with pytest.raises(Incompatible, match="too few to fit a map"):
        Ridge().apply(case(bench, "coop", "eva"))


def test_the_analysis_reports_it(household):
    table = only(household.table("repair"), pair=IDENTITY, repair="ridge")
    assert only(table, method="coop").over_reuse.item() == pytest.approx(0, abs=1e-6)
    refused = only(table, method="clip-adapter").iloc[0]
    assert refused.status == "incompatible"
    assert "acts on vectors" in refused.reason
