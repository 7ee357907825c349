"""One function trains a module and one evaluates it; here both are spelled out again, step by step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmark.backbones.clip import Backbone, digest
from benchmark.config.schema import BackboneSpec
from benchmark.data.batch import ClassList
from benchmark.data.features import FeatureStore
from benchmark.data.task import BASE_TO_NEW, TaskId, make_task
from benchmark.method import registry
from benchmark.method.terms import Incompatible
from benchmark.training.checks import tiny_clips
from benchmark.training.evaluation import scores
from benchmark.training.loop import derive_seed, few_shots, fit, train
from benchmark.training.modules import (
    Module,
    attach,
    compare_to_zero_shot,
    evaluate_module,
    train_module,
    zero_shot_of,
)

METHODS = registry.methods()
STEPS = {"steps": 3, "batch_size": 6, "views": 2}


@pytest.fixture(scope="module")
def task():
    return tiny_clips.task()


@pytest.fixture(scope="module")
def features():
    return FeatureStore(None)


def config_of(name: str, **changes):
    cls = METHODS[name].cls
    return cls, cls.Config.model_validate(cls.presets.get("small", {}) | STEPS | changes)


def spelled_out_training(name, backbone, task, features):
    """Seed, build, train on the bank, and nothing else; for methods that learn by gradient."""
    cls, config = config_of(name)
    torch.manual_seed(derive_seed("init", task.id.seed))
    method = cls(config, backbone, task.class_list(), few_shots(config, backbone, task, features))
    bank = features.training(backbone, task.train, task.augmentation, config.views, pixels=method.needs_pixels)
    return method, train(method, bank, shots=task.shots, seed=task.id.seed)


def logits_of(method, examples, features):
    bank = features.testing(method.backbone, examples, pixels=method.needs_pixels)
    with torch.no_grad():
        return method.eval().logits(bank.all())


def same(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.parametrize("name", ["coop", "cocoop", "clip-lora", "maple"])
def test_training(name, backbone, task, features):
    method, log = train_module(*config_of(name), backbone, task, features)
    expected, expected_log = spelled_out_training(name, backbone, task, features)
    assert same(method.tensors(), expected.tensors())
    assert (log.steps, log.first_loss, log.last_loss) == (3, expected_log.first_loss, expected_log.last_loss)
    assert not method.training
    assert digest(backbone.model) == backbone.digest


def test_another_seed_is_another_module(backbones, task, features):
    other = replace(task, id=replace(task.id, seed=2))
    one, two = (train_module(*config_of("clip-adapter"), backbones["native"], each, features)[0] for each in (task, other))
    assert not same(one.tensors(), two.tensors())


def test_a_warm_start(backbones, task, features):
    """Training goes on from the given tensors, on the new backbone, with the same draws."""
    old, new = backbones["native"], backbones["eva"]
    start = train_module(*config_of("coop"), old, task, features)[0].tensors()
    cls, config = config_of("coop")
    method, _ = train_module(cls, config, new, task, features, start=start)
    torch.manual_seed(derive_seed("init", task.id.seed))
    expected = cls(config, new, task.class_list(), few_shots(config, new, task, features))
    with torch.no_grad():
        for name, parameter in expected.named_parameters():
            parameter.copy_(start[name])
    fit(expected, task, features)
    assert same(method.tensors(), expected.tensors())
    cold, _ = train_module(cls, config, new, task, features)
    assert not same(method.tensors(), cold.tensors())


def test_a_warm_start_that_does_not_fit(backbones, task, features):
    with pytest.raises(Incompatible, match="context is 4 x 48 in the module but must be 4 x 32 on native"):
        train_module(*config_of("coop"), backbones["native"], task, features, start={"context": torch.zeros(4, 48)})


def test_a_method_that_cannot_work_is_not_built(backbones, task, features):
    with pytest.raises(Incompatible, match=r"99 context tokens do not fit .* on native"):
        train_module(*config_of("coop", n_ctx=99), backbones["native"], task, features)


@pytest.mark.parametrize("name", ["coop", "clip-lora-text"])
@pytest.mark.parametrize("on", ["native", "eva"])
def test_evaluation(name, on, backbones, task, features):
    """Of a module that may be used with other classes."""
    cls, config = config_of(name)
    trained, _ = train_module(cls, config, backbones["native"], task, features)
    module = Module(cls, config, trained.tensors(), task.classes)
    predictions = evaluate_module(module, backbones[on], task, features)
    assert list(predictions) == ["base", "new"]
    for test in task.tests:
        method = attach(cls, config, backbones[on], task.class_list(test), trained.tensors())
        logits = logits_of(method, test.examples, features)
        found = predictions[test.key]
        assert found.labels.tolist() == list(test.examples.labels)
        assert found.predicted.tolist() == logits.argmax(1).tolist()
        np.testing.assert_allclose(found.confidences, logits.softmax(1).amax(1), rtol=1e-6)
        assert found.accuracy == pytest.approx(100 * np.mean(logits.argmax(1).numpy() == test.examples.labels))


@pytest.mark.parametrize("name", ["tip-adapter", "linear-probe", "coop-csc"])
def test_evaluation_of_a_class_bound_module(name, backbones, task, features):
    """It is attached with its training classes, and the columns of the test set's are picked, in the test set's order."""
    cls, config = config_of(name)
    backbone = backbones["native"]
    trained, _ = train_module(cls, config, backbone, task, features)
    base, new = task.tests
    order = [2, 0, 3]
    labels = [order.index(label) for label in base.examples.labels if label in order]
    rows = [row for row, label in enumerate(base.examples.labels) if label in order]
    some = replace(base, examples=replace(base.examples.pick(rows), labels=tuple(labels)), name="some",
                   classes=tuple(base.classes[place] for place in order))  # fmt: skip
    wider = replace(task, tests=(base, new, some))
    predictions = evaluate_module(Module(cls, config, trained.tensors(), task.classes), backbone, wider, features)
    assert list(predictions) == ["base", "some"], "it does not score the new classes"
    for test, columns in ((base, [0, 1, 2, 3]), (some, order)):
        shown = few_shots(config, backbone, task, features) if cls.info.keeps_images else None
        method = attach(cls, config, backbone, task.class_list(), trained.tensors(), shown)
        logits = logits_of(method, test.examples, features)[:, columns]
        assert predictions[test.key].predicted.tolist() == logits.argmax(1).tolist()
        np.testing.assert_allclose(predictions[test.key].confidences, logits.softmax(1).amax(1), rtol=1e-6)


def test_a_class_bound_module_whose_classes_are_not_known(backbones, task, features):
    """Their number is all that tells: it is not asked about new classes, and not about more or fewer."""
    cls, config = config_of("coop-csc")
    module = Module(cls, config, {"context": torch.randn(4, 4, 32)})
    assert list(evaluate_module(module, backbones["native"], task, features)) == ["base"]
    three = Module(cls, config, {"context": torch.randn(3, 4, 32)})
    assert evaluate_module(three, backbones["native"], task, features) == {}


def test_a_module_that_does_not_fit(backbones, task, features):
    cls, config = config_of("coop")
    with pytest.raises(Incompatible, match="on native"):
        evaluate_module(Module(cls, config, {"context": torch.zeros(5, 32)}), backbones["native"], task, features)


def test_zero_shot_is_open_clips(backbones, task, features):
    backbone, test = backbones["eva"], task.tests[0]
    method = zero_shot_of(backbone, ClassList(test.classes, test.template))
    bank = features.testing(backbone, test.examples, pixels=method.needs_pixels)
    pixels = torch.stack([backbone.preprocess(test.examples.images[row]) for row in range(len(test.examples))])
    with torch.no_grad():
        expected, _ = backbone.model.get_logits(pixels, backbone.tokenizer(method.classes.texts()))
    torch.testing.assert_close(torch.cat(list(scores(method, bank))), expected, atol=1e-4, rtol=1e-5)


def test_a_comparison_has_both_sides(backbone, task, features):
    cls, config = config_of("coop")
    method, _ = train_module(cls, config, backbone, task, features)
    module = Module(cls, config, method.tensors())
    found = compare_to_zero_shot(module, backbone, task, features)
    zero_shot = logits_of(zero_shot_of(backbone, task.class_list()), task.tests[0].examples, features)
    assert (found.zero_shot[task.tests[0].key].predicted == zero_shot.argmax(1).numpy()).all()
    for key, predictions in evaluate_module(module, backbone, task, features).items():
        assert (found.module[key].predicted == predictions.predicted).all()
    assert found.reason == ""


def test_a_module_that_does_not_fit_has_a_reason_in_a_comparison(backbone, task, features):
    """A method's own objection counts like a shape that does not fit."""
    cls, config = config_of("coop", n_ctx=99)
    found = compare_to_zero_shot(Module(cls, config, {"context": torch.zeros(99, 32)}), backbone, task, features)
    assert "99 context tokens do not fit" in found.reason
    assert found.module == {}
    assert set(found.zero_shot) == {test.key for test in task.tests}


def test_a_module_of_other_classes_has_a_reason_in_a_comparison(backbone, task, features):
    cls, config = config_of("taskres")
    tensors = {"residual": torch.zeros(2, backbone.embed_dim)}
    found = compare_to_zero_shot(Module(cls, config, tensors, ("a", "b")), backbone, task, features)
    assert found.reason == "it only scores its training classes, and these are others"


@pytest.fixture(scope="module")
def digits():
    """Handwritten digits on a small trained CLIP, whose answers are worth something."""
    data = registry.datasets()["digits"].cls()
    backbone = Backbone.load("v1", BackboneSpec(model="bundled:v1"))
    return backbone, make_task(data, data.load(), TaskId("digits", BASE_TO_NEW, 4, 1))


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize(("name", "bound"), [("coop", 0.02), ("clip-lora", 0.03), ("tip-adapter", 0)])
def test_half_precision_changes_few_predictions(name, bound, precision, digits, features):
    """Of one module. What works on cached features has no tower in half precision, and changes none."""
    backbone, task = digits
    cls, config = config_of(name, steps=3)
    method, _ = train_module(cls, config, backbone, task, features)
    module = Module(cls, config, method.tensors(), task.classes)
    single = evaluate_module(module, backbone, task, features)
    half = evaluate_module(module, backbone, task, features, precision=precision)
    changed = np.concatenate([half[key].predicted != single[key].predicted for key in single])
    assert len(changed) >= 100
    assert changed.mean() <= bound
    assert all(predictions.confidences.dtype == np.float32 for predictions in half.values())


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_what_half_precision_trains_is_single(precision, digits, features):
    backbone, task = digits
    cls, config = config_of("clip-lora")
    method, log = train_module(cls, config, backbone, task, features, precision=precision)
    assert {value.dtype for value in method.tensors().values()} == {torch.float32}
    assert (log.steps, log.skipped) == (3, 0)
