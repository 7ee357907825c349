"""Warm start: it goes on from the module, with so many steps, and needs gradient steps."""

from __future__ import annotations

import pytest
import torch
from fixtures.analyses import case_of, module_of

from benchmark.analysis.repair_base import Case
from benchmark.analysis.repairs.warm_start import STEPS, WarmStart
from benchmark.method import registry
from benchmark.method.terms import Incompatible
from benchmark.training.checks.contract import Subject
from benchmark.training.modules import Module

METHODS = registry.methods()


def case(bench, name: str, new: str) -> Case:
    return case_of(bench, module_of(bench, name), new)


def test_there_is_one_for_each_number_of_steps():
    repairs = WarmStart.instances()
    assert [repair.steps for repair in repairs] == list(STEPS)
    assert [repair.name for repair in repairs] == [f"warm-start-{steps}" for steps in STEPS]


def test_it_takes_its_steps_from_the_module_and_needs_all_images(bench):
    given = case(bench, "coop", "eva")
    repaired = WarmStart(3).apply(given)
    assert repaired.steps == 3
    assert repaired.images == repaired.labels == len(bench.task.train)
    (before,), (after,) = given.module.tensors.values(), repaired.tensors.values()
    assert not torch.equal(before, after)
    fresh = WarmStart(3).apply(case_of(bench, fresh_module(given, bench), "eva"))
    assert not torch.allclose(after, next(iter(fresh.tensors.values()))), "where it starts matters"


def fresh_module(given: Case, bench) -> Module:
    subject = Subject(given.module.cls, bench)
    return Module(subject.cls, subject.config, subject.build("eva").tensors())


def test_what_is_not_trained_by_steps_is_refused(bench):
    with pytest.raises(Incompatible, match="gradient steps"):
        WarmStart(3).apply(case(bench, "tip-adapter", "native"))


def test_nothing_learnt_nothing_to_continue(bench):
    assert "no learnt tensors" in str(WarmStart(3).incompatibility(case(bench, "zero-shot", "native").module))
