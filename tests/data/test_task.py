"""Few-shot draws and class splits, against the rule written out again."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.config.errors import UserError
from benchmark.data.dataset import ArrayImages, Augmentation, Dataset, Examples, Splits
from benchmark.data.task import BASE_TO_NEW, DOMAIN, TaskId, few_shot, halves, make_task

NAMES = ("a", "b", "c", "d", "e")


class Toy(Dataset):
    name = "toy"
    title = "Toy"
    template = "one {}."
    context_words = "one"
    shots = 4
    augmentation = Augmentation(flip=False)


class Shifted(Dataset):
    name = "toy-shifted"
    title = "Shifted"
    template = "other {}."
    shift_of = "toy"


def numbered(labels, offset=0) -> Examples:
    """Images whose first byte is their own number, so that a test can tell which were picked."""
    pixels = np.zeros((len(labels), 2, 2, 3), np.uint8)
    pixels[:, 0, 0, 0] = np.arange(len(labels)) + offset
    return Examples(ArrayImages(pixels), tuple(labels))


def numbers(examples: Examples) -> list[int]:
    return [examples.images[row].getpixel((0, 0))[0] for row in range(len(examples))]


TRAIN = [2, 0, 1, 4, 3] * 6  # classes do not appear in the order of their labels
VAL = [0, 1, 2, 3, 4] * 5
TEST = [0, 0, 1, 2, 2, 3, 4]


def splits() -> Splits:
    return Splits(NAMES, test=numbered(TEST, 100), train=numbered(TRAIN), val=numbered(VAL, 50))


def draw(labels, shots, rng):
    """The stated rule: classes by first appearance, ``sample`` on each class's rows, one stream."""
    seen = []
    for label in labels:
        if label not in seen:
            seen.append(label)
    rows = []
    for label in seen:
        members = [row for row, other in enumerate(labels) if other == label]
        rows.extend(rng.sample(members, shots) if len(members) >= shots else members)
    return rows


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("shots", [1, 3, 4])
def test_the_draw_is_the_stated_one(seed, shots):
    rng = random.Random(seed)
    train, val = draw(TRAIN, shots, rng), draw(VAL, min(shots, 4), rng)
    task = make_task(Toy(), splits(), TaskId("toy", DOMAIN, shots, seed))
    assert numbers(task.train) == train
    assert [number - 50 for number in numbers(task.val)] == val
    assert list(task.train.labels) == [TRAIN[row] for row in train]


def test_base_to_new_keeps_the_draw_and_the_base_classes():
    """The draw is made before the cut, so that base images do not depend on the protocol."""
    whole = make_task(Toy(), splits(), TaskId("toy", DOMAIN, 2, 7))
    task = make_task(Toy(), splits(), TaskId("toy", BASE_TO_NEW, 2, 7))
    kept = [number for number, label in zip(numbers(whole.train), whole.train.labels, strict=True) if label < 3]
    assert numbers(task.train) == kept
    assert task.classes == ("a", "b", "c")
    assert sorted(task.train.labels) == [0, 0, 1, 1, 2, 2]
    base, new = task.tests
    assert (base.key, base.classes, base.examples.labels) == ("base", ("a", "b", "c"), (0, 0, 1, 2, 2))
    assert (new.key, new.classes, new.examples.labels) == ("new", ("d", "e"), (0, 1))
    assert numbers(new.examples) == [105, 106]


def test_domain_has_all_classes_and_the_shifted_test_sets_under_their_own_names():
    shifted = Splits(("e", "b"), test=numbered([1, 0, 1], 200))
    task = make_task(Toy(), splits(), TaskId("toy", DOMAIN, 2, 1), {"toy-shifted": (Shifted(), shifted)})
    assert [test.key for test in task.tests] == ["all", "toy-shifted"]
    assert task.tests[0].classes == task.classes == NAMES
    assert (task.tests[1].classes, task.tests[1].template, task.tests[1].part) == (("e", "b"), "other {}.", "all")
    assert numbers(task.tests[1].examples) == [200, 201, 202]


@settings(max_examples=60, deadline=None)
@given(labels=st.lists(st.integers(0, 5), max_size=40), shots=st.integers(1, 6), seed=st.integers(0, 99))
def test_every_draw_has_the_right_counts(labels, shots, seed):
    rows = few_shot(labels, shots, random.Random(seed))
    assert len(set(rows)) == len(rows)
    drawn = [labels[row] for row in rows]
    assert all(drawn.count(label) == min(shots, labels.count(label)) for label in set(labels))
    assert rows == draw(labels, shots, random.Random(seed))


@settings(max_examples=30, deadline=None)
@given(count=st.integers(1, 200))
def test_halves(count):
    base, new = halves(count)
    assert [*base, *new] == list(range(count))
    assert len(base) - len(new) in (0, 1)


def test_no_more_shots_are_drawn_than_a_data_set_has():
    task = make_task(Toy(), splits(), TaskId("toy", DOMAIN, 16, 1))
    assert task.shots == 4
    assert len(task.train) == 4 * 5


def test_a_shifted_test_set_alone_is_not_a_task():
    with pytest.raises(UserError, match=r"'toy-shifted' has no training images \(fix: use 'toy' instead\)"):
        make_task(Shifted(), Splits(NAMES, test=numbered(TEST)), TaskId("toy-shifted", DOMAIN, 2, 1))


def test_too_few_classes_for_two_halves():
    three = Splits(("a", "b", "c"), test=numbered([0, 1, 2]), train=numbered([0, 1, 2] * 4))
    with pytest.raises(UserError, match="too few classes for base-to-new"):
        make_task(Toy(), three, TaskId("toy", BASE_TO_NEW, 2, 1))


def test_hashes_follow_what_they_are_about():
    """Training images, names and template change the split hash; test images and names the test hash; nothing else does."""
    one = make_task(Toy(), splits(), TaskId("toy", BASE_TO_NEW, 2, 1))
    same = make_task(Toy(), splits(), TaskId("toy", BASE_TO_NEW, 2, 1))
    other = make_task(Toy(), splits(), TaskId("toy", BASE_TO_NEW, 2, 2))
    assert (one.split_hash(), one.test_hash()) == (same.split_hash(), same.test_hash())
    assert one.split_hash() != other.split_hash()
    assert one.test_hash() == other.test_hash()
    assert replace(one, template="x {}").split_hash() != one.split_hash()
    assert replace(one, context_words="x").split_hash() != one.split_hash()
    assert replace(one, augmentation=Augmentation()).split_hash() != one.split_hash()
    images = splits()
    images.train.images.pixels[numbers(one.train)[0], 1, 1, 2] += 1  # one byte of one picture that was drawn
    assert make_task(Toy(), images, one.id).split_hash() != one.split_hash()
    renamed = [replace(test, classes=("z", *test.classes[1:])) for test in one.tests]
    assert replace(one, tests=tuple(renamed)).test_hash() != one.test_hash()
