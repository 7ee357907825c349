"""Class lists: names, templates and the first words of learnt context."""

from __future__ import annotations

import pytest
import torch

from benchmark.data.batch import Batch, ClassList


def test_texts_fill_the_template_with_readable_names():
    classes = ClassList(("red_dog", "cat"), "a photo of a {}.")
    assert classes.readable == ("red dog", "cat")
    assert classes.texts() == ["a photo of a red dog.", "a photo of a cat."]
    assert classes.texts("the {}") == ["the red dog", "the cat"]


@pytest.mark.parametrize(("template", "closing"), [("a photo of a {}.", "."), ("an icon of a {}", ""), ("a. {}", "")])
def test_a_learnt_prompt_ends_as_the_template_does(template, closing):
    assert ClassList(("cat",), template).closing == closing


def test_the_templates_are_the_ensemble_and_the_own_one_without_duplicates():
    assert ClassList(("cat",), "a {}.", ensemble=("b {}", "a {}.", "b {}")).templates == ("b {}", "a {}.")
    assert ClassList(("cat",), "a {}.").templates == ("a {}.",)


def test_context_starts_at_the_words_of_the_configuration_if_it_has_any():
    classes = ClassList(("cat",), context_words="an icon of a")
    assert [classes.first_words(words) for words in (None, "the", "")] == ["an icon of a", "the", ""]


@pytest.mark.parametrize("names", [(), ("cat", ""), ("cat", " ")])
def test_a_class_without_a_name_is_refused(names):
    with pytest.raises(ValueError, match="at least one name"):
        ClassList(names)


@pytest.mark.parametrize("kind", ["features", "pixels"])
def test_a_batch_splits_into_parts(kind):
    batch = Batch(torch.arange(5), **{kind: torch.arange(5.0)[:, None]})
    parts = batch.split(2)
    assert [len(part) for part in parts] == [2, 2, 1]
    for name in ("labels", kind):
        assert torch.equal(torch.cat([getattr(part, name) for part in parts]), getattr(batch, name))
    assert batch.split(5) == [batch]
