"""Splits of the icon data sets: near-identical drawings are never in two parts of a split."""

from __future__ import annotations

import random
from collections import Counter
from functools import lru_cache

import numpy as np
import pytest

from benchmark.data.dataset import ArrayImages
from benchmark.data.duplicates import fingerprints, similar_pairs
from benchmark.data.icons.classes import COMPASS, OBJECTS
from benchmark.data.icons.splits import Pool, shifted_test_set, split
from benchmark.data.task import BASE_TO_NEW, TaskId, few_shot, halves, make_task
from benchmark.method import registry

DATASETS = {name: plugin for name, plugin in registry.datasets().plugins.items() if plugin.cls().missing() is None}
"""Those that need no files."""
NAMES = sorted(DATASETS)
PARENTS = [name for name in NAMES if DATASETS[name].cls.shift_of is None]
SHIFTED = [name for name in NAMES if DATASETS[name].cls.shift_of is not None]
DEFAULT_THRESHOLD = ("icon-modifiers", "icon-objects")
"""Sets whose splits are cut at the usual similarity; digits, letters, frames and directions are naturally similar."""


@pytest.fixture(scope="module")
def loaded():
    """Every data set, loaded once."""
    return lru_cache(maxsize=None)(lambda name: DATASETS[name].cls().load())


def pixels(examples) -> np.ndarray:
    return np.stack([np.asarray(examples.images[row]) for row in range(len(examples))])


def prints(examples) -> np.ndarray:
    return fingerprints(255 - pixels(examples)[..., 0])


@pytest.mark.parametrize("name", NAMES)
def test_pictures_are_32_pixels_in_colour_and_not_blank(name, loaded):
    splits = loaded(name)
    for part in filter(None, (splits.train, splits.val, splits.test)):
        assert isinstance(part.images, ArrayImages)
        assert part.images.pixels.shape == (len(part), 32, 32, 3)
        assert part.images.pixels.dtype == np.uint8
        assert (part.images.pixels.reshape(len(part), -1).std(1) > 5).all()
        assert all(0 <= label < len(splits.classes) for label in part.labels)


@pytest.mark.parametrize("name", NAMES)
def test_class_names_are_words_and_differ(name, loaded):
    classes = loaded(name).classes
    assert len(set(classes)) == len(classes)
    assert all(text.strip() == text and text for text in classes)


@pytest.mark.parametrize("name", PARENTS)
def test_no_drawing_is_on_two_sides_of_a_split(name, loaded):
    splits = loaded(name)
    parts = [set(part.groups) for part in (splits.train, splits.val, splits.test)]
    assert all(parts)
    assert not parts[0] & parts[1]
    assert not parts[0] & parts[2]
    assert not parts[1] & parts[2]


@pytest.mark.parametrize("name", PARENTS)
def test_no_picture_is_on_two_sides_of_a_split(name, loaded):
    splits = loaded(name)
    seen = [{picture.tobytes() for picture in pixels(part)} for part in (splits.train, splits.val, splits.test)]
    assert not seen[0] & seen[1]
    assert not seen[0] & seen[2]
    assert not seen[1] & seen[2]


@pytest.mark.parametrize("name", DEFAULT_THRESHOLD)
def test_no_near_duplicate_is_on_two_sides_of_a_split(name, loaded):
    splits = loaded(name)
    fingerprint_sets = [prints(part) for part in (splits.train, splits.val, splits.test)]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert not list(similar_pairs(fingerprint_sets[one], fingerprint_sets[other]))


@pytest.mark.parametrize("name", PARENTS)
def test_shots_are_affordable_in_every_class(name, loaded):
    splits, shots = loaded(name), DATASETS[name].cls.shots
    for part, least in ((splits.train, shots), (splits.val, min(shots, 4)), (splits.test, 2)):
        counts = Counter(part.labels)
        assert set(counts) == set(range(len(splits.classes)))
        assert min(counts.values()) >= least
    drawn = few_shot(splits.train.labels, shots, random.Random(1))
    assert set(Counter(splits.train.labels[row] for row in drawn).values()) == {shots}


@pytest.mark.parametrize("name", PARENTS)
def test_both_halves_have_four_classes_or_more(name, loaded):
    splits = loaded(name)
    assert min(map(len, halves(len(splits.classes)))) >= 4
    task = make_task(DATASETS[name].cls(), splits, TaskId(name, BASE_TO_NEW, 16, 1))
    assert all(len(test.examples) >= 20 for test in task.tests)


@pytest.mark.parametrize("name", SHIFTED)
def test_a_shifted_test_set_has_classes_of_its_parent_and_only_a_test_split(name, loaded):
    splits, parent = loaded(name), loaded(DATASETS[name].cls.shift_of)
    assert splits.train is None
    assert splits.val is None
    assert set(splits.classes) <= set(parent.classes)
    assert len(splits.classes) >= 10
    assert set(splits.test.labels) == set(range(len(splits.classes)))


@pytest.mark.parametrize("name", SHIFTED)
def test_a_shifted_test_set_shows_no_training_picture_of_its_parent(name, loaded):
    parent = loaded(DATASETS[name].cls.shift_of)
    trained = {picture.tobytes() for part in (parent.train, parent.val) for picture in pixels(part)}
    assert not trained & {picture.tobytes() for picture in pixels(loaded(name).test)}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_loading_twice_gives_the_same_pictures(name, loaded):
    again, first = DATASETS[name].cls().load(), loaded(name)
    assert again.classes == first.classes
    assert again.test.digest == first.test.digest
    assert first.train is None or again.train.digest == first.train.digest


def test_what_a_mirror_would_misname_is_never_mirrored():
    for name in ("icon-directions", "digits", "letters"):
        assert not DATASETS[name].cls.augmentation.flip
        assert DATASETS[name].cls.augmentation.rotate < 22.5


def test_directions_are_turned_copies(loaded):
    """Every drawing shows all eight directions, in the split it belongs to."""
    splits = loaded("icon-directions")
    assert splits.classes == COMPASS
    for part in (splits.train, splits.val, splits.test):
        shown = Counter(zip(part.groups, part.labels, strict=True))
        assert all((group, label) in shown for group in set(part.groups) for label in range(8))


# --- splitting ----------------------------------------------------------------------------------------------------


def pool(labels, drawings, seed=0) -> Pool:
    ink = np.random.default_rng(seed).integers(0, 256, (len(labels), 32, 32)).astype(np.uint8)
    return Pool(ink, tuple(labels), tuple(f"n{row}" for row in range(len(labels))), tuple(drawings))


def test_near_duplicates_share_a_group_even_under_other_names():
    made = pool([0] * 12 + [1] * 12, range(24))
    made.ink[5] = np.clip(made.ink[3].astype(int) + 3, 0, 255)
    splits = split(made, ["a", "b"], train=4, val=2, test=4)
    groups = [group for part in (splits.train, splits.val, splits.test) for group in part.groups]
    assert len(groups) == len(set(groups)) == 23 - (24 - 23 - 1)  # one picture of the pair, all the others


def test_a_drawing_that_spans_classes_is_left_out():
    made = pool([0] * 12 + [1] * 12, [*range(12), 0, *range(13, 24)])
    splits = split(made, ["a", "b"], train=4, val=2, test=4)
    assert sum(map(len, (splits.train, splits.val, splits.test))) == (4 + 2 + 4 + 1) + (4 + 2 + 4 + 1)


def test_the_split_does_not_depend_on_the_order_of_the_pool():
    made = pool([0] * 12 + [1] * 12, range(24))
    turned = Pool(made.ink[::-1], made.labels[::-1], made.names[::-1], made.drawings[::-1])
    one, other = (split(each, ["a", "b"], train=4, val=2, test=4) for each in (made, turned))
    assert one.test.images.digest == other.test.images.digest
    assert one.train.images.digest == other.train.images.digest


def test_a_class_with_too_few_drawings_is_an_error():
    with pytest.raises(ValueError, match="class 1 has 6 drawings, fewer than 4"):
        split(pool([0] * 12 + [1] * 6, range(18)), ["a", "b"], train=4, val=2, test=4)


def test_shifted_test_sets_are_limited_per_class_and_have_one_picture_per_drawing():
    made = pool([0] * 9 + [3] * 4, [0, 0, *range(2, 13)])
    splits = shifted_test_set(made, limit=6)
    assert splits.classes == (OBJECTS[0].name, OBJECTS[3].name)
    assert Counter(splits.test.labels) == {0: 6, 1: 4}
    assert len(set(splits.test.groups)) == 10
