"""Pictures of the images that change sides."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from benchmark.report.check import gallery


def test_by_class_the_largest_first(result):
    groups = gallery.gallery(result, result.flips.won)
    assert [(group.name, len(group.pictures), group.more) for group in groups] == [("sea lion", 4, 0), ("dog", 2, 0)]
    assert groups[0].pictures[0].lines == ("<cat> \N{RIGHTWARDS ARROW} sea lion (90 %)",)
    assert groups[0].pictures[0].alt == "sea lion, image 60"


def test_only_some_are_shown(result, monkeypatch):
    monkeypatch.setattr(gallery, "SHOWN", 5)
    monkeypatch.setattr(gallery, "EACH", 3)
    groups = gallery.gallery(result, np.arange(60))
    assert [(len(group.pictures), group.more) for group in groups] == [(3, 17), (2, 18), (0, 20)]


def test_a_picture_is_in_its_address(result):
    (group,) = gallery.gallery(result, np.array([0]))
    kind, data = group.pictures[0].data.split(",")
    assert kind == "data:image/webp;base64"
    picture = Image.open(io.BytesIO(base64.b64decode(data)))
    assert np.array_equal(np.asarray(picture), np.asarray(result.test.examples.images[0])), "without loss: it is small"
