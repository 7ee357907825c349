"""The photo data sets in ``datasets/``: what they declare, and the lists that they read."""

from __future__ import annotations

import pytest
import torchvision.datasets
from fixtures import miniature
from fixtures.photos import FACTS, PLUGINS, RULED, SIZES, dataset, parts_of, user_error

from benchmark.data.coop.files import ImageFiles
from benchmark.data.coop.layout import Counts
from benchmark.data.dataset import Augmentation
from benchmark.data.task import halves


@pytest.mark.parametrize("name", FACTS)
def test_facts(name):
    cls = PLUGINS[name]
    template, counts, groups = FACTS[name]
    assert cls.template == template
    assert cls.counts == Counts(*counts)
    assert (cls.context_words, cls.shots, cls.augmentation) == ("a photo of a", 16, Augmentation())
    assert (cls.shift_of == "imagenet") == name.startswith("imagenet-")
    assert cls.size
    assert cls.where.startswith("https://")
    if groups:
        assert tuple(map(len, halves(cls.counts.classes))) == groups


@pytest.mark.parametrize("name", FACTS)
@pytest.mark.parametrize("how", ["with_splits", "by_rule"])
def test_names_labels_and_sizes(name, how, request):
    splits = dataset(name, request.getfixturevalue(how)).load()
    made = miniature.contents(name)
    labels = {path: label for label, paths in made.images.items() for path in paths}
    assert splits.classes == miniature.CLASSES[name]
    assert tuple(len(part or ()) for part in parts_of(splits).values()) == SIZES[name]
    seen = []
    for part in filter(None, parts_of(splits).values()):
        assert isinstance(part.images, ImageFiles)
        assert part.labels == tuple(labels[path] for path in part.images.paths)
        seen += part.images.paths
    assert sorted(seen) == sorted(labels), "every image once"
    for label, paths in made.held_out.items():
        official = {path for path, row in zip(splits.test.images.paths, splits.test.labels, strict=True) if row == label}
        assert official == set(paths)
    assert splits.note
    if name in RULED:
        assert ("by rule" in splits.note) == (how == "by_rule")


@pytest.mark.parametrize(
    ("name", "file", "content", "words"),
    [
        (
            "oxford-pets",
            "annotations/trainval.txt",
            b"Abyssinian_1 1 1 1\nAbyssinian_2\n",
            "trainval.txt, line 2: cannot be parsed",
        ),
        ("oxford-pets", "annotations/test.txt", b"Abyssinian_1 one 1 1\n", "test.txt, line 1"),
        ("oxford-pets", "annotations/test.txt", b"\xff\xff", "test.txt: cannot be read"),
        (
            "sun397",
            "Testing_01.txt",
            b"/z/zoo/sun_a1.jpg\n",
            "line 1: cannot be parsed: '/z/zoo/sun_a1.jpg'",
        ),
        ("ucf101", "ucfTrainTestlist/classInd.txt", b"ApplyEyeMakeup 1\n", "classInd.txt, line 1"),
        ("ucf101", "ucfTrainTestlist/testlist01.txt", b"Surfing/v_Surfing_g01_c01.avi\n", "testlist01.txt, line 1"),
        ("fgvc-aircraft", "images_variant_val.txt", b"0034409 747-100\n", "images_variant_val.txt, line 1"),
        ("stanford-cars", "devkit/cars_meta.mat", b"none", "cars_meta.mat: cannot be read"),
        ("stanford-cars", "cars_test_annos_withlabels.mat", miniature.mat(other=1), "KeyError: 'annotations'"),
        ("oxford-flowers", "imagelabels.mat", b"", "imagelabels.mat: cannot be read"),
        ("oxford-flowers", "cat_to_name.json", b"{", "cat_to_name.json: not a file of names"),
        ("oxford-flowers", "cat_to_name.json", b'{"1": "rose"}', "cat_to_name.json: no name for class 2"),
    ],
)
def test_broken_lists_are_named(name, file, content, words, tmp_path):
    folder = miniature.build(tmp_path, name, split_file=False)
    (folder / file).write_bytes(content)
    assert words in user_error(dataset(name, tmp_path).load)


def test_flowers_have_the_same_names_without_their_file(tmp_path, monkeypatch):
    folder = miniature.build(tmp_path, "oxford-flowers", split_file=False)
    (folder / "cat_to_name.json").unlink()
    plugin = dataset("oxford-flowers", tmp_path)
    assert plugin.missing() is None
    assert plugin.load().classes == miniature.CLASSES["oxford-flowers"]
    names = plugin.names()
    assert (len(names), names[1], names[60], names[78], names[102]) == (
        102,
        "pink primrose",
        "pink-yellow dahlia",
        "lotus lotus",
        "blackberry lily",
    )
    monkeypatch.delattr(torchvision.datasets.Flowers102, "classes")
    assert "cat_to_name.json: no names for the classes" in user_error(plugin.load)
