"""What a method learns of the way to another backbone, and when."""

from __future__ import annotations

import pytest
import torch

from benchmark.method import passage as module
from benchmark.method.passage import Passage
from benchmark.method.terms import Incompatible


def scripted(monkeypatch, answers):
    asked = []

    def word_vectors(old, new, space, template):
        asked.append(space)
        if isinstance(answers[space], str):
            raise ValueError(answers[space])
        return answers[space], None

    monkeypatch.setattr(module, "word_vectors", word_vectors)
    monkeypatch.setattr(module, "agreement", lambda before, after: before)
    return asked


def test_the_old_backbone_is_loaded_once_and_only_if_it_is_asked_for(backbones):
    loaded = []

    def load():
        loaded.append(1)
        return backbones["native"]

    passage = Passage(load, backbones["eva"])
    assert loaded == []
    assert passage.old is passage.old is backbones["native"]
    assert loaded == [1]


def test_token_embeddings_tell_it(monkeypatch):
    asked = scripted(monkeypatch, {"tokens": 0.8})
    passage = Passage(lambda: None, None)
    assert (passage.relatedness, passage.relatedness) == (0.8, 0.8)
    assert asked == ["tokens"]


def test_vectors_of_words_are_made_once(monkeypatch):
    asked = scripted(monkeypatch, {"features": 0.7})
    passage = Passage(lambda: None, None)
    assert passage.joint_relatedness == 0.7
    assert passage.word_vectors("features") == (0.7, None)
    assert asked == ["features"]


def test_it_is_not_negative(monkeypatch):
    scripted(monkeypatch, {"tokens": -0.1})
    assert Passage(lambda: None, None).relatedness == 0


def test_text_features_tell_it_where_the_vocabularies_differ(monkeypatch):
    scripted(monkeypatch, {"tokens": "too few words", "features": 0.4})
    assert Passage(lambda: None, None).relatedness == 0.4


def test_where_nothing_tells_it_the_module_does_not_fit(monkeypatch):
    scripted(monkeypatch, {"tokens": "too few", "features": "still too few"})
    with pytest.raises(Incompatible, match="still too few"):
        _ = Passage(lambda: None, None).relatedness


def test_a_map_that_cannot_be_fitted_does_not_fit_either(backbones, monkeypatch):
    monkeypatch.setattr("benchmark.method.space_maps.FEWEST", 10_000)
    passage = Passage(lambda: backbones["native"], backbones["eva"])
    with pytest.raises(Incompatible, match="too few to fit a map on"):
        passage.carried({"context": torch.zeros(4, 32)}, {"context": ("", "tokens")})
