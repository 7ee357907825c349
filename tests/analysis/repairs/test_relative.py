"""Relative transfer: least squares against the words, then the size of the new embeddings."""

from __future__ import annotations

import pytest
import torch
from fixtures.analyses import case_of, module_of
from torch.nn import functional as F

from benchmark.analysis.repairs.relative import Relative
from benchmark.method import space_maps


@pytest.fixture(autouse=True)
def few_words(monkeypatch):
    """The tiny CLIPs have about a dozen."""
    monkeypatch.setattr(space_maps, "FEWEST", 8)


def test_the_closed_form_is_where_gradient_steps_on_cosines_end():
    """The paper's search, without its rescaling: the direction is the same."""
    torch.manual_seed(0)
    old, new = torch.randn(200, 12), torch.randn(200, 16)
    prompt = torch.randn(1, 12)
    target = F.normalize(prompt, dim=-1) @ F.normalize(old, dim=-1).T
    found = torch.randn(1, 16, requires_grad=True)
    optimizer = torch.optim.Adam([found], lr=5e-2)
    for _ in range(2000):
        optimizer.zero_grad()
        (1 - F.cosine_similarity(F.normalize(found, dim=-1) @ F.normalize(new, dim=-1).T, target)).sum().backward()
        optimizer.step()
    closed = prompt @ space_maps.relative(old, new)
    assert float(F.cosine_similarity(closed, found.detach())) > 0.9999


def test_places_get_the_size_of_the_new_embeddings(bench):
    case = case_of(bench, module_of(bench, "coop"), "wide")
    context = Relative().apply(case).tensors["context"]
    _, words = space_maps.word_vectors(case.old, case.new, "tokens", "{}")
    assert context.shape == (4, case.new.text_width)
    assert float(context.std()) == pytest.approx(float(words.std()), rel=1e-4)
    assert float(context.mean()) == pytest.approx(float(words.mean()), abs=1e-5)


def test_changes_keep_their_relative_size(bench):
    case = case_of(bench, module_of(bench, "coop-offset"), "wide")
    old, new = space_maps.word_vectors(case.old, case.new, "tokens", "{}")
    moved = Relative().apply(case).tensors["offset"]
    assert float(moved.norm() / new.std()) == pytest.approx(
        float(case.module.tensors["offset"].norm() / old.std()), rel=1e-4
    )


def test_other_tensors_are_refused(bench):
    for name in ("clip-lora-text", "clip-adapter", "taskres", "cocoop"):
        assert "not a list of token embeddings" in Relative().incompatibility(module_of(bench, name))
