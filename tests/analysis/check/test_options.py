"""The options of one module are what the engine computes elsewhere, and what is missing is said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fixtures.analyses import case_of
from fixtures.check import Four, question

from benchmark.analysis.check.options import Option
from benchmark.analysis.check.run import ask, repairs_to_try
from benchmark.analysis.repair_base import all_repairs
from benchmark.analysis.repairs.both import Both
from benchmark.method.base import Method, MethodConfig
from benchmark.training.modules import Module, evaluate_module


@pytest.fixture(scope="module")
def found(bench):
    asked = question(bench, "coop")
    labels = []
    return asked, ask(asked, bench.store, labels.append), labels


def test_options_are_what_the_engine_computes(bench, found):
    asked, result, _ = found
    case = case_of(bench, asked.module, "eva")
    none = Module(Method, MethodConfig(), {})
    wanted = {
        "zero-shot-old": (none, asked.old),
        "stay": (asked.module, asked.old),
        "discard": (none, asked.new),
        "keep": (replace(case, task=asked.task).carried, asked.new),
    }
    for name, (module, backbone) in wanted.items():
        predictions = evaluate_module(module, backbone, asked.task, bench.store)["all"]
        np.testing.assert_array_equal(result.option(name).predictions.predicted, predictions.predicted)
        assert result.option(name).accuracy == predictions.accuracy


def test_every_option_is_announced_and_measured_or_has_a_reason(found):
    asked, result, labels = found
    assert len(labels) == len(result.options) == 5 + len(asked.repairs)
    for option in result.options:
        assert option.measured != bool(option.reason), option
        assert not option.failed, option.reason
        assert (option.held_out is not None) == option.measured


def test_what_retraining_takes(found):
    retrain = found[1].option("retrain")
    assert (retrain.images, retrain.labels, retrain.steps) == (8, 8, 2)
    assert retrain.module.tensors.keys() == found[0].module.tensors.keys()


def test_without_training_images_retraining_and_such_repairs_are_not_measured(bench):
    class TestOnly(Four):
        name, trains, shift_of = "test-only", False, None

    result = ask(question(bench, "coop", dataset=TestOnly(), repairs=all_repairs()), bench.store)
    assert "folders train/ and test/" in result.option("retrain").reason
    assert result.option("rotated-both").reason == "it looks at images of the task, and there are none but test images"
    assert result.option("both").measured
    assert result.option("keep").held_out is None
    assert [option.reason for option in result.options if option.failed] == []
    assert result.verdict is not None


def test_when_time_is_up_the_trusted_repairs_have_been_tried(bench):
    """The order of the options does not change."""
    result = ask(question(bench, "coop", repair_budget=0.0), bench.store)
    repairs = [option for option in result.options if option.kind in ("repair", "both")]
    assert [option.name for option in repairs if option.measured] == ["rotated-both", "both"]
    assert [option.name for option in repairs] == [repair.name for repair in repairs_to_try(None)]
    assert repairs[0].reason == f"there was no time for it; --repair {repairs[0].name} tries it"


def test_a_long_retraining_is_not_tried(bench):
    asked = question(bench, "coop", repairs=(), budget=0.0)
    reason = ask(asked, bench.store).option("retrain").reason
    assert reason.startswith("it would take about")
    assert "--retrain" in reason


def test_what_raises_is_an_option_that_failed(bench):
    class Raising(Both):
        def apply(self, case):
            raise ZeroDivisionError("no mercy")

    result = ask(question(bench, "coop", repairs=(Raising(),)), bench.store)
    option = result.option("both")
    assert option.failed
    assert "no mercy" in option.reason
    assert result.verdict.choice.measured


def test_options_that_were_not_measured_have_no_accuracy():
    assert np.isnan(Option("keep", "", "keep", reason="no").accuracy)
