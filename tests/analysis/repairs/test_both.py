"""Running both backbones, with and without a module, and what a module adds to scores."""

from __future__ import annotations

import pytest
import torch
from fixtures.analyses import case_of, module_of

from benchmark.analysis.repairs.both import Both, BothWeighted, BothZeroShot
from benchmark.analysis.repairs.logit_offset import LogitOffset


@pytest.fixture(scope="module")
def case(bench):
    return case_of(bench, module_of(bench, "clip-adapter"), "narrow")


def scores(case, test):
    """Scores by what makes them: the old backbone with the module, and both without."""
    return case.kept(test), case.zero_shot(case.old)(test), case.zero_shot(case.new)(test)


def test_probabilities_are_averaged_whatever_the_widths(case):
    for test in case.task.tests:
        kept, old, new = (each.softmax(1) for each in scores(case, test))
        torch.testing.assert_close(Both().apply(case).scorer(test).softmax(1), (kept + new) / 2)
        torch.testing.assert_close(BothZeroShot().apply(case).scorer(test).softmax(1), (old + new) / 2)


def test_the_weight_has_the_smallest_loss_on_held_out_images(case):
    repaired = BothWeighted().apply(case)
    labels = torch.tensor(case.task.val.labels)
    assert repaired.images == repaired.labels == len(labels)
    kept, _, new = (each.softmax(1) for each in scores(case, case.held_out))
    losses = {
        share / 10: float(torch.nn.functional.nll_loss(((1 - share / 10) * kept + share / 10 * new).log(), labels))
        for share in range(11)
    }
    assert losses[repaired.notes["share"]] == pytest.approx(min(losses.values()), abs=1e-5)


def test_a_logit_offset_adds_the_difference(case):
    for test in case.task.tests:
        kept, old, new = scores(case, test)
        torch.testing.assert_close(LogitOffset().apply(case).scorer(test), new + kept - old)


def test_a_logit_offset_of_an_identity_upgrade_is_the_module(bench):
    same = case_of(bench, module_of(bench, "coop"), "native")
    for test in same.task.tests:
        torch.testing.assert_close(LogitOffset().apply(same).scorer(test), same.reused(test), atol=1e-5, rtol=1e-5)


def test_what_stays_in_use_is_named():
    assert {repair.keeps for repair in (Both(), BothWeighted(), LogitOffset())} == {"the old backbone"}
    assert BothZeroShot().control
