"""What follows from scores: predictions, and mixtures of probabilities."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmark.data.features import FeatureStore
from benchmark.method import registry
from benchmark.method.base import Method, MethodConfig
from benchmark.training.checks import tiny_clips
from benchmark.training.modules import Module, all_scores, attach, scorer_of
from benchmark.training.scoring import mixture, predictions_of

METHODS = registry.methods()


def test_the_largest_score_is_the_prediction_and_its_softmax_the_confidence():
    task = tiny_clips.task()
    fixed = torch.tensor([[1.0, 3.0, 2.0, 0.0]]).repeat(len(task.tests[0].examples), 1)
    predictions = predictions_of(task, lambda test: fixed if test.key == "base" else None)
    assert list(predictions) == ["base"], "what cannot be scored is left out"
    assert (predictions["base"].predicted == 1).all()
    expected = np.exp(3) / np.exp([1, 3, 2, 0]).sum()
    np.testing.assert_allclose(predictions["base"].confidences, expected, rtol=1e-6)
    assert predictions["base"].labels.tolist() == list(task.tests[0].examples.labels)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a_mixture_is_of_probabilities(share, backbones):
    backbone, task, features = backbones["native"], tiny_clips.task(), FeatureStore(None)
    cls = METHODS["coop"].cls
    module = Module(cls, cls.Config(), {"context": torch.randn(4, 32, generator=torch.Generator().manual_seed(4))})
    own, plain = (scorer_of(each, backbone, task, features) for each in (module, Module(Method, MethodConfig(), {})))
    predictions = predictions_of(task, mixture([(1 - share, own), (share, plain)]))
    for test in task.tests:
        classes = task.class_list(test)
        with_module = attach(cls, module.config, backbone, classes, module.tensors)
        probabilities = all_scores(with_module, test.examples, features).softmax(1)
        pixels = torch.stack([backbone.preprocess(test.examples.images[row]) for row in range(len(test.examples))])
        with torch.no_grad():
            texts = backbone.model.encode_text(backbone.tokenizer(classes.texts()), normalize=True)
            images = backbone.model.encode_image(pixels, normalize=True)
            zero = (backbone.model.logit_scale.exp() * images @ texts.T).softmax(1)
        mixed = (1 - share) * probabilities + share * zero
        assert predictions[test.key].predicted.tolist() == mixed.argmax(1).tolist()
        np.testing.assert_allclose(predictions[test.key].confidences, mixed.amax(1), rtol=1e-4)


def test_a_part_that_cannot_score_the_classes_leaves_nothing_but_if_it_has_no_weight():
    task = tiny_clips.task()
    scores = torch.zeros(len(task.tests[0].examples), 4)
    assert mixture([(0.5, lambda test: scores), (0.5, lambda test: None)])(task.tests[0]) is None
    alone = mixture([(1.0, lambda test: scores), (0.0, lambda test: None)])(task.tests[0])
    torch.testing.assert_close(alone.softmax(1), scores.softmax(1))
