"""From a module, two backbones and images to a result."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fixtures.analyses import module_of
from fixtures.check import Four, question

from benchmark.analysis.check.run import ask, task_of
from benchmark.method.base import MethodConfig
from benchmark.method.terms import Incompatible
from benchmark.training.modules import Module


def test_an_identity_upgrade_changes_nothing(bench):
    result = ask(question(bench, "coop", new="native"), bench.store)
    assert (result.values["gain"].value, result.values["negative_flips"].value) == (0, 0)
    assert result.values["agreement"].value == 100


def test_a_module_that_does_not_fit_the_new_backbone_can_stay_or_run_on_both(bench):
    result = ask(question(bench, "clip-adapter", new="narrow"), bench.store)
    assert "must be" in result.option("keep").reason
    assert result.verdict.helps == "incompatible"
    assert "lift" not in result.values
    assert result.option("stay").measured
    assert result.option("both").measured
    assert result.flips is None


def test_a_module_that_fits_neither_backbone_is_refused(bench):
    asked = question(bench, "clip-adapter", new="narrow")
    with pytest.raises(Incompatible, match="fits neither backbone"):
        ask(replace(asked, old=asked.new), bench.store)


def test_a_bound_module_is_tested_on_its_own_classes(bench):
    class Eight(Four):
        name, classes = "eight", ("boat", *Four.classes, "tree")

    module = Module(module_of(bench, "taskres").cls, MethodConfig(), {}, Four.classes)
    task, warnings = task_of(Eight(), Eight().load(), module)
    assert task.tests[0].classes == task.classes == Four.classes
    assert set(task.tests[0].examples.labels) == set(range(4))
    assert warnings == ["the module scores 4 of the 6 classes, and is tested on these"]
