"""TransMiter: an identity to start from, a rotation held back, and what it learns."""

from __future__ import annotations

import pytest
import torch
from fixtures.analyses import case_of, module_of

from benchmark.analysis.repairs.transmiter import TransMiter
from benchmark.method.space_maps import whole_words


def test_it_learns_the_modules_predictions_without_labels():
    """Scores whose first column is raised by the teacher."""
    torch.manual_seed(0)
    logits = torch.randn(600, 32)
    teacher = logits[:, :4] + torch.tensor([3.0, 0.0, 0.0, 0.0])
    kind = TransMiter()
    kind.epochs = 40
    network, steps = kind._trained(logits, teacher, seed=1)
    assert steps == 40 * 5
    scaled = (logits - logits.mean(1, keepdim=True)) / logits.std(1, keepdim=True)
    with torch.no_grad():
        moved = (logits + logits.std(1, keepdim=True) * network(scaled))[:, :4]
    before = (logits[:, :4].argmax(1) == teacher.argmax(1)).float().mean()
    assert (moved.argmax(1) == teacher.argmax(1)).float().mean() > before + 0.2


def test_without_steps_it_is_zero_shot(bench, monkeypatch):
    """The last layer is zero at first."""
    case = case_of(bench, module_of(bench, "coop"), "narrow")
    monkeypatch.setattr(TransMiter, "rate", 0.0)
    repaired = TransMiter().apply(case)
    for test in case.task.tests:
        torch.testing.assert_close(repaired.scorer(test), case.zero_shot(case.new)(test), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["clip-adapter", "clip-lora", "tip-adapter-f"])
def test_every_module_allows_it_and_it_costs_images_but_no_labels(name, bench):
    case = case_of(bench, module_of(bench, name), "narrow")
    repaired = TransMiter().apply(case)
    assert (repaired.images, repaired.labels) == (len(bench.task.train), 0)
    assert repaired.steps == 10
    base, new = (repaired.scorer(test) for test in case.task.tests)
    assert base.shape[1] == len(case.task.classes)
    assert (new is None) == (name == "tip-adapter-f"), "it is bound to its training classes"
    assert torch.equal(TransMiter().apply(case).scorer(case.task.tests[0]), base)


def test_no_name_is_there_twice(bench):
    """The words that fill up the names are none of the task's own, whichever vocabulary they come from."""
    case = case_of(bench, module_of(bench, "coop"), "narrow")
    words = tuple(sorted(whole_words(case.old) & whole_words(case.new)))[:20]
    filled = TransMiter()._words(case, words)
    assert not set(words) & set(filled)
    assert len(filled) == len(set(filled)) > 0
