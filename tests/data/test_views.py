"""Views of images: decoding, augmentation, threads and memory."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms

from benchmark.data.dataset import ArrayImages, Augmentation, Examples
from benchmark.data.features import FeatureStore
from benchmark.data.views import AHEAD, PIXEL, Decoded, Decoder, Views, allocate, crop_box, scratch
from benchmark.training.checks.tiny_clips import pictures

HOW = Augmentation(crop=(0.5, 1.0), flip=True, rotate=10)


def test_a_flip_is_never_drawn_where_it_would_change_the_label(backbones):
    """Left half dark, right half bright stays that way."""
    picture = np.zeros((30, 32, 32, 3), np.uint8)
    picture[:, :, 16:] = 255
    sided = Examples(ArrayImages(picture), (0,) * 30)
    for flip in (False, True):
        views = FeatureStore(None).training(backbones["native"], sided, Augmentation(None, flip), 3, pixels=True).views
        bright_right = views[..., 16:].float().mean((2, 3, 4)) > views[..., :16].float().mean((2, 3, 4))
        assert bool(bright_right.all()) is not flip


def views_of(examples: Examples, *numbers: int) -> Views:
    return Views(examples.images, HOW, numbers)


def decoded(views: Views, backbone, threads: int) -> torch.Tensor:
    out = torch.zeros(views.count, 3, 32, 32, dtype=torch.uint8)
    Decoder(threads).fill(views, backbone, out)
    return out


@pytest.mark.parametrize("numbers", [(0,), (1, 2, 3)])
def test_threads_do_not_change_a_byte(numbers, photos, backbones):
    views = views_of(photos, *numbers)
    one = decoded(views, backbones["native"], 1)
    for threads in (4, 4, 2):
        assert torch.equal(decoded(views, backbones["native"], threads), one)
    for threads in (1, 4):
        chunks = list(Decoder(threads).chunks(views, backbones["native"], 5))
        assert [len(chunk) for chunk in chunks] == [5] * (views.count // 5) + [views.count % 5] * (views.count % 5 > 0)
        assert torch.equal(torch.cat(chunks), one)


def test_no_images_are_no_chunks(photos, backbones):
    views = views_of(photos.pick([]), 0)
    for threads in (1, 4):
        assert list(Decoder(threads).chunks(views, backbones["native"], 5)) == []
        assert decoded(views, backbones["native"], threads).shape == (0, 3, 32, 32)


def test_a_view_is_drawn_from_its_images_its_place_and_its_number(photos, backbones):
    """Whatever the state of torch's generator, and whichever views are made with it."""
    native = backbones["native"]
    torch.manual_seed(1)
    first = decoded(views_of(photos, 1, 2), native, 1).unflatten(0, (2, 13))
    torch.manual_seed(2)
    again = decoded(views_of(photos, 2, 5), native, 4).unflatten(0, (2, 13))
    assert torch.equal(first[1], again[0])
    assert not torch.equal(first[0], again[1])
    assert torch.equal(
        decoded(views_of(photos, 0), native, 1), torch.stack([native.frame(photos.images[i]) for i in range(13)])
    )


def test_images_of_one_view_are_drawn_apart(backbones):
    """Even where they show the same."""
    same = Examples(ArrayImages(np.repeat(pictures([3]), 8, axis=0)), (0,) * 8)
    made = decoded(Views(same.images, Augmentation(crop=(0.3, 0.7)), (1,)), backbones["native"], 1)
    assert len({each.numpy().tobytes() for each in made}) == 8


def test_plain_pixels_do_not_depend_on_the_augmentation(photos, backbones):
    keys = {
        Views(photos.images, how, numbers).key(backbones["native"])
        for how in (HOW, Augmentation())
        for numbers in ((0,), (1,))
    }
    assert len(keys) == 3
    assert views_of(photos, 0).key(backbones["native"]) == views_of(photos, 0).key(backbones["eva"])
    assert views_of(photos, 0).key(backbones["native"]) != views_of(photos.pick(range(12)), 0).key(backbones["native"])


def test_many_pixels_go_to_a_file_that_leaves_nothing(tmp_path):
    few, is_file = allocate((2, 3, 4, 4), tmp_path / "cache", 96)
    assert not is_file
    assert not (tmp_path / "cache").exists()
    many, is_file = allocate((2, 3, 4, 5), tmp_path / "cache", 96)
    assert is_file
    assert (few.dtype, many.dtype, many.shape) == (torch.uint8, torch.uint8, (2, 3, 4, 5))
    many[1, 2] = 7
    assert int(many.sum()) == 7 * 20
    assert list((tmp_path / "cache").iterdir()) == []
    assert allocate((2, 3, 4, 5), None, 96)[1] is False


def test_crops_are_those_of_torchvision():
    """To the pixel, for images of all shapes, also where no crop fits; torch's own generator is left alone."""
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    boxes, expected = [], []
    shapes = [(32, 32), (200, 31), (9, 300), (640, 480), (1, 1), (3, 2)]
    for seed, (width, height) in itertools.product(range(40), shapes):
        share = ((0.08, 1.0), (0.9, 1.0))[seed % 2]
        boxes.append(crop_box(width, height, share, torch.Generator().manual_seed(seed)))
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            image = Image.new("RGB", (width, height))
            expected.append(transforms.RandomResizedCrop.get_params(image, list(share), [3 / 4, 4 / 3]))
    assert boxes == expected
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("threads", [1, 3])
def test_batches_come_in_order_and_a_few_ahead(threads, photos, backbones):
    """Each image in the view that was asked for; what is not needed yet is not asked for."""
    views, native = views_of(photos, 1, 2, 3), backbones["native"]
    asked, wanted = [], [[(0, 1), (5, 3)], [(2, 2)], [(1, 9), (0, 2), (7, 1)], [(3, 3)], [(4, 4)]]

    def ask():
        for batch in wanted:
            asked.append(batch)
            yield batch

    made = Decoder(threads).batches(views, native, ask())
    for number, batch in enumerate(wanted):
        assert torch.equal(next(made), torch.stack([views.draw(row, view, native) for row, view in batch]))
        assert len(asked) <= number + 1 + AHEAD
    assert list(made) == []


def test_an_image_that_cannot_be_read_ends_the_batches(photos, backbones):
    made = Decoder(2).batches(views_of(photos, 1), backbones["native"], [[(0, 1)], [(99, 1)]])
    next(made)
    with pytest.raises(IndexError):
        next(made)


def test_images_are_decoded_once_as_long_as_there_is_room(photos):
    class Counted:
        digest = "d"

        def __init__(self):
            self.opened = []

        def __len__(self):
            return len(photos)

        def __getitem__(self, index):
            self.opened.append(index)
            return photos.images[index]

    size = PIXEL * photos.images[0].width * photos.images[0].height
    images = Counted()
    decoded = Decoded(images, room=size)
    for _ in range(2):
        assert decoded[0].tobytes() == photos.images[0].convert("RGB").tobytes()
        decoded[1]
    assert images.opened == [0, 1, 1]
    assert (len(decoded), decoded.digest) == (len(photos), "d")


def test_large_files_go_to_the_machines_own_disk(tmp_path, monkeypatch):
    monkeypatch.delenv("TMPDIR", raising=False)
    assert scratch(tmp_path) == tmp_path
    monkeypatch.setenv("TMPDIR", str(tmp_path / "local"))
    assert scratch(tmp_path) == tmp_path / "local"
