"""A check of one module on tiny CLIPs: its options are what the engine computes elsewhere, and what is missing is said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fixtures.analyses import case_of, module_of

from benchmark.analysis.check.options import Option
from benchmark.analysis.check.run import Question, ask, cheap_repairs, task_of
from benchmark.analysis.repair_base import all_repairs
from benchmark.analysis.repairs.both import Both
from benchmark.data.dataset import ArrayImages, Augmentation, Dataset, Examples, Splits
from benchmark.method.base import Method, MethodConfig
from benchmark.method.terms import Incompatible
from benchmark.training.checks.tiny_clips import pictures
from benchmark.training.modules import Module, evaluate_module

NAMES = ("dog", "cat", "bird", "house")


class Four(Dataset):
    name, title, shots = "four", "Four", 2
    augmentation = Augmentation(crop=None, flip=False)
    classes = NAMES
    trains = True

    def load(self):
        def part(count, seed):
            labels = tuple(label for label in range(len(self.classes)) for _ in range(count))
            return Examples(ArrayImages(pictures(labels, seed=seed)), labels)

        train, val = (part(2, 1), part(1, 2)) if self.trains else (None, None)
        return Splits(self.classes, test=part(5, 3), train=train, val=val)


def question(bench, name, new="eva", *, dataset=None, **more):
    module = module_of(bench, name)
    dataset = dataset or Four()
    task, _ = task_of(dataset, dataset.load(), module)
    short = module.config.model_copy(update={"steps": 2, "steps_per_shot": None})
    asked = {"retraining": short, "repairs": cheap_repairs()} | more
    return Question(module, bench.backbones["native"], bench.backbones[new], task, **asked)


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


def test_values(found):
    result = found[1]
    right = {name: result.option(name).predictions.right for name in ("zero-shot-old", "stay", "discard", "keep", "retrain")}
    values = result.values
    assert values["lift"].value == pytest.approx(100 * (right["keep"].mean() - right["discard"].mean()))
    assert values["lift_old"].value == pytest.approx(100 * (right["stay"].mean() - right["zero-shot-old"].mean()))
    assert values["gain"].value == pytest.approx(100 * (right["keep"].mean() - right["stay"].mean()))
    assert values["over_retrain"].value == pytest.approx(100 * (right["keep"].mean() - right["retrain"].mean()))
    assert values["negative_flips"].value == pytest.approx(100 * (right["stay"] & ~right["keep"]).mean())
    assert values["positive_flips"].value == pytest.approx(100 * (~right["stay"] & right["keep"]).mean())
    same = result.option("stay").predictions.predicted == result.option("keep").predictions.predicted
    assert values["agreement"].value == pytest.approx(100 * same.mean())
    assert all(value.low <= value.value <= value.high for name, value in values.items() if "ece" not in name)


def test_the_table_has_a_row_for_every_option(found):
    table = found[1].table
    assert list(table.name) == [option.name for option in found[1].options]
    assert table[table.reason == ""].accuracy.notna().all()
    assert table[table.reason != ""].accuracy.isna().all()


def test_an_identity_upgrade_changes_nothing(bench):
    result = ask(question(bench, "coop", new="native"), bench.store)
    assert (result.values["gain"].value, result.values["negative_flips"].value) == (0, 0)
    assert result.values["agreement"].value == 100


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


def test_a_long_retraining_is_not_tried(bench):
    asked = question(bench, "coop", repairs=(), budget=0.0)
    reason = ask(asked, bench.store).option("retrain").reason
    assert reason.startswith("it would take about")
    assert "--retrain" in reason


def test_a_bound_module_is_tested_on_its_own_classes(bench):
    class Eight(Four):
        name, classes = "eight", ("boat", *NAMES, "tree")

    module = Module(module_of(bench, "taskres").cls, MethodConfig(), {}, NAMES)
    task, warnings = task_of(Eight(), Eight().load(), module)
    assert task.tests[0].classes == task.classes == NAMES
    assert set(task.tests[0].examples.labels) == set(range(4))
    assert warnings == ["the module scores 4 of the 6 classes, and is tested on these"]


def test_without_labels_only_answers_are_compared(bench):
    result = ask(replace(question(bench, "coop"), labelled=False), bench.store)
    assert result.verdict is None
    assert set(result.values) == {"agreement", "zero_shot_agreement", "module_changes", "module_changes_old"}
    assert result.table.accuracy.isna().all()


def test_options_that_were_not_measured_have_no_accuracy():
    assert np.isnan(Option("keep", "", "keep", reason="no").accuracy)


def test_what_raises_is_an_option_that_failed(bench):
    class Raising(Both):
        def apply(self, case):
            raise ZeroDivisionError("no mercy")

    result = ask(question(bench, "coop", repairs=(Raising(),)), bench.store)
    option = result.option("both")
    assert option.failed
    assert "no mercy" in option.reason
    assert result.verdict.choice.measured
