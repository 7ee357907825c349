"""Data sets that are counted and not there."""

from __future__ import annotations

from collections import Counter

import pytest

from benchmark.data.dataset import Counts, Dataset
from benchmark.data.outline import outline


class Birds(Dataset):
    name, title = "birds", "Birds"
    shots = 4
    counts = Counts(classes=3, train=100, val=None, test=8)


class BirdSketches(Dataset):
    name, title, shift_of = "bird-sketches", "Sketches of birds", "birds"
    counts = Counts(classes=2, train=None, val=None, test=5)


class Unknown(Dataset):
    name, title = "unknown", "Nobody knows"


def test_it_has_as_many_classes_and_test_images_and_enough_to_draw_from():
    made = outline(Birds(), {})
    assert len(made.classes) == 3
    assert len(made.test) == 8
    assert Counter(made.train.labels) == {0: 4, 1: 4, 2: 4}
    assert max(Counter(made.test.labels).values()) - min(Counter(made.test.labels).values()) <= 1


def test_a_shifted_test_set_shares_the_classes_of_its_data_set():
    birds = outline(Birds(), {})
    made = outline(BirdSketches(), {"birds": birds})
    assert made.classes == birds.classes[:2]
    assert made.train is None


def test_what_is_not_published_is_not_made_up():
    assert outline(Unknown(), {}) is None


def test_its_images_cannot_be_read():
    with pytest.raises(LookupError, match="birds test is not there"):
        outline(Birds(), {}).test.images[0]
