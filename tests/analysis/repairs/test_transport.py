"""Low-rank changes through maps of activations, and projected on the new weights."""

from __future__ import annotations

import pytest
import torch
from fixtures.analyses import case_of, module_of

from benchmark.analysis.repairs import transport
from benchmark.analysis.repairs.transport import Subspace, Transport, TransportScaled
from benchmark.backbones.towers.attention import linear_of, projections
from benchmark.method.terms import Incompatible


@pytest.mark.parametrize("kind", [Transport, TransportScaled])
def test_an_identity_upgrade_gives_the_module(kind, bench):
    case = case_of(bench, module_of(bench, "clip-lora"), "native")
    for test in case.task.tests:
        torch.testing.assert_close(kind().apply(case).scorer(test), case.reused(test), atol=2e-2, rtol=1e-2)


def test_every_product_is_that_of_the_maps(bench, monkeypatch):
    case = case_of(bench, module_of(bench, "clip-lora-text"), "twin")
    flows = list(transport._flows(case, "text", transport._sites(case)))
    tensors = Transport().apply(case).tensors
    site, (old_in, old_out), (new_in, new_out) = flows[0]
    maps = []
    for old, new in ((old_in, new_in), (old_out, new_out)):
        u, _, vh = torch.linalg.svd(old.double().T @ new.double())
        maps.append(u @ vh)
    up, down = case.module.tensors[f"lora.up.{site.key}"], case.module.tensors[f"lora.down.{site.key}"]
    expected = maps[1].T @ (up @ down).double() @ maps[0]
    found = (tensors[f"lora.up.{site.key}"] @ tensors[f"lora.down.{site.key}"]).double()
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)


def test_what_flows_in_and_out_belongs_together(bench):
    """Outputs are the projection's own, for every layout of attention."""
    for name in ("native", "eva", "stem"):
        backbone = bench.backbones[name]
        for tower in ("text", "vision"):
            for site in projections(backbone, tower):
                weight, bias = linear_of(backbone, site)
                assert tuple(weight.shape) == (site.d_out, site.d_in)
                assert bias is None or len(bias) == site.d_out


def test_another_text_width_is_reached(bench):
    case = case_of(bench, module_of(bench, "clip-lora-text"), "wide")
    tensors = Transport().apply(case).tensors
    assert {value.shape[0] for name, value in tensors.items() if ".up." in name} == {48}


def test_the_image_tower_needs_images_and_grids_of_other_sizes_are_resized(bench):
    case = case_of(bench, module_of(bench, "clip-lora-vision"), "twin")
    with pytest.raises(Incompatible, match="numbers of layers"):  # 2 and 4
        Transport().apply(case)
    tokens = torch.arange(17.0).view(1, 17, 1)
    resized = transport._resized(tokens, 5, 1)
    assert resized.shape == (1, 5, 1)
    assert float(resized[0, 0]) == 0
    assert float(resized[0, 1:].mean()) == pytest.approx(8.5)


def test_a_projection_keeps_what_lies_in_the_leading_directions(bench):
    case = case_of(bench, module_of(bench, "clip-lora-text"), "native")
    repaired = Subspace().apply(case)
    site = transport._sites(case)[0]
    up = repaired.tensors[f"lora.up.{site.key}"]
    u = torch.linalg.svd(linear_of(case.new, site)[0])[0]
    kept = site.d_out * 5 // 12
    torch.testing.assert_close(u[:, kept:].T @ up, torch.zeros(site.d_out - kept, up.shape[1]), atol=1e-5, rtol=0)
    assert up.norm() <= case.module.tensors[f"lora.up.{site.key}"].norm() + 1e-6


def test_only_low_rank_changes_are_carried(bench):
    for kind in (Transport, Subspace):
        assert kind().incompatibility(module_of(bench, "coop")) == "it has no low-rank changes"


def test_where_tokenizers_differ_only_the_ends_of_texts_are_compared(bench, monkeypatch):
    case = case_of(bench, module_of(bench, "clip-lora-text"), "eva")
    _, (old, _), _ = next(iter(transport._flows(case, "text", transport._sites(case))))
    together = len(old)
    tokenize = type(case.new).tokenize

    def shifted(self, texts):
        """One more token before the text."""
        return tokenize(self, [f"x {text}" for text in texts] if self is case.new else texts)

    monkeypatch.setattr(type(case.new), "tokenize", shifted)
    _, (old, _), (new, _) = next(iter(transport._flows(case, "text", transport._sites(case))))
    assert len(old) == len(new) < together
