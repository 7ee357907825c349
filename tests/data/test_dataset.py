"""Images, examples and test sets: selections, groups and digests."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.data import dataset
from benchmark.data.coop.layout import PhotoDataset
from benchmark.data.coop.user_folder import UserFolder
from benchmark.data.dataset import ArrayImages, Augmentation, Examples
from benchmark.method import registry


@pytest.fixture
def examples() -> Examples:
    """Five images whose first byte is their number; the last two show the same drawing."""
    pixels = np.zeros((5, 2, 2, 3), np.uint8)
    pixels[:, 0, 0, 0] = range(5)
    return Examples(ArrayImages(pixels), (0, 1, 0, 1, 1), (0, 1, 2, 3, 3))


def numbers(examples: Examples) -> list[int]:
    return [examples.images[row].getpixel((0, 0))[0] for row in range(len(examples))]


def test_images_must_be_bytes_in_colour():
    for bad in (np.zeros((2, 4, 4)), np.zeros((2, 4, 4, 3)), np.zeros((2, 4, 4, 1), np.uint8)):
        with pytest.raises(ValueError, match="expected uint8"):
            ArrayImages(bad)
    with pytest.raises(ValueError, match="2 images but 3 labels"):
        Examples(ArrayImages(np.zeros((2, 4, 4, 3), np.uint8)), (0, 1, 2))


def test_a_selection_keeps_images_labels_and_groups_together(examples):
    chosen = examples.pick([4, 0, 3])
    assert (numbers(chosen), chosen.labels, chosen.groups) == ([4, 0, 3], (1, 0, 1), (3, 0, 3))
    again = chosen.pick([2, 1], labels=[7, 8])
    assert (numbers(again), again.labels, again.groups) == ([3, 0], (7, 8), (3, 0))


def test_images_are_independent_unless_groups_are_given(examples):
    assert Examples(examples.images, examples.labels).groups == (0, 1, 2, 3, 4)


def test_the_digest_covers_pixels_order_labels_and_groups(examples):
    pixels = examples.images.pixels.copy()
    same = Examples(ArrayImages(pixels.copy()), examples.labels, examples.groups)
    assert same.digest == examples.digest
    pixels[2, 1, 1, 2] += 1
    others = [
        Examples(ArrayImages(pixels), examples.labels, examples.groups),
        Examples(examples.images, (1, 1, 0, 1, 1), examples.groups),
        Examples(examples.images, examples.labels),
        examples.pick([0, 1, 2, 3, 4]),
        examples.pick([1, 0, 2, 3, 4]),
    ]
    assert len({examples.digest, *(other.digest for other in others)}) == 6
    assert ArrayImages(examples.images.pixels.reshape(5, 4, 1, 3)).digest != examples.images.digest


def test_a_test_set_is_named_after_its_data_set_or_its_part(examples):
    assert dataset.TestSet("base", examples, ("a", "b"), "{}").key == "base"
    assert dataset.TestSet("all", examples, ("a", "b"), "{}", name="toy-shifted").key == "toy-shifted"


@pytest.mark.parametrize(
    ("own", "wanted", "crop"),
    [
        ((0.08, 1.0), (0.5, 1.0), (0.5, 1.0)),
        ((0.7, 1.0), (0.5, 1.0), (0.7, 1.0)),
        ((0.08, 0.6), (0.5, 1.0), (0.5, 0.6)),
        ((0.08, 0.3), (0.5, 1.0), (0.08, 0.3)),
        ((0.08, 1.0), None, (0.08, 1.0)),
        (None, (0.5, 1.0), None),
    ],
)
def test_a_methods_crop_stays_within_what_keeps_labels_valid(own, wanted, crop):
    assert Augmentation(crop=own).cropped(wanted).crop == crop


def test_only_embedded_images_and_the_users_own_are_shown():
    chosen = registry.datasets().plugins
    shown = {name for name, plugin in chosen.items() if plugin.cls.shows_images}
    assert shown == {name for name in chosen if name.startswith("icon-")} | {"digits", "letters"}
    assert UserFolder.shows_images
    assert not PhotoDataset.shows_images
