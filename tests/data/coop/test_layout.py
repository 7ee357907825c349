"""Data sets of photographs, on miniatures of their real folders."""

from __future__ import annotations

import importlib
import json
import os
import random
import shutil
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torchvision.datasets
from fixtures import miniature
from open_clip import IMAGENET_CLASSNAMES

from benchmark.config.errors import UserError
from benchmark.data.coop import splits
from benchmark.data.coop.files import ImageFiles
from benchmark.data.coop.layout import Counts, Item
from benchmark.data.dataset import Augmentation
from benchmark.data.task import BASE_TO_NEW, DOMAIN, TaskId, halves, make_task
from benchmark.method import registry

PLUGINS = {name: registry.datasets()[name].cls for name in miniature.NAMES}
VARIANTS = tuple(name for name in PLUGINS if PLUGINS[name].shift_of)
TRAINED = tuple(name for name in PLUGINS if name not in VARIANTS)
RULED = tuple(miniature.SPLIT_FILES)

# Templates, published counts and base/new group sizes as the reference states them.
FACTS = {
    "imagenet": ("a photo of a {}.", (1000, 1_281_167, None, 50_000), (500, 500)),
    "caltech101": ("a photo of a {}.", (100, 4_128, 1_649, 2_465), (50, 50)),
    "oxford-pets": ("a photo of a {}, a type of pet.", (37, 2_944, 736, 3_669), (19, 18)),
    "stanford-cars": ("a photo of a {}.", (196, 6_509, 1_635, 8_041), (98, 98)),
    "oxford-flowers": ("a photo of a {}, a type of flower.", (102, 4_093, 1_633, 2_463), (51, 51)),
    "food101": ("a photo of {}, a type of food.", (101, 50_500, 20_200, 30_300), (51, 50)),
    "fgvc-aircraft": ("a photo of a {}, a type of aircraft.", (100, 3_334, 3_333, 3_333), (50, 50)),
    "sun397": ("a photo of a {}.", (397, 15_880, 3_970, 19_850), (199, 198)),
    "dtd": ("{} texture.", (47, 2_820, 1_128, 1_692), (24, 23)),
    "eurosat": ("a centered satellite photo of {}.", (10, 13_500, 5_400, 8_100), (5, 5)),
    "ucf101": ("a photo of a person doing {}.", (101, 7_639, 1_898, 3_783), (51, 50)),
    "imagenet-v2": ("a photo of a {}.", (1000, None, None, 10_000), None),
    "imagenet-sketch": ("a photo of a {}.", (1000, None, None, 50_889), None),
    "imagenet-a": ("a photo of a {}.", (200, None, None, 7_500), None),
    "imagenet-r": ("a photo of a {}.", (200, None, None, 30_000), None),
}
# Images of the miniatures: train, val, test. Rules and split files come to the same.
SIZES = {
    "imagenet": (72, 0, 24),
    "caltech101": (21, 8, 12),
    "oxford-pets": (32, 8, 16),
    "stanford-cars": (32, 8, 12),
    "oxford-flowers": (21, 8, 12),
    "food101": (21, 8, 12),
    "fgvc-aircraft": (24, 20, 20),
    "sun397": (32, 8, 20),
    "dtd": (21, 8, 12),
    "eurosat": (21, 8, 12),
    "ucf101": (32, 8, 16),
    "imagenet-v2": (0, 0, 36),
    "imagenet-sketch": (0, 0, 24),
    "imagenet-a": (0, 0, 12),
    "imagenet-r": (0, 0, 16),
}


@pytest.fixture(scope="module")
def with_splits(tmp_path_factory) -> Path:
    """A data root with all data sets and the split files; tests leave it as it is."""
    return miniature.build_all(tmp_path_factory.mktemp("splits"))


@pytest.fixture(scope="module")
def by_rule(tmp_path_factory) -> Path:
    """A data root without split files; tests leave it as it is."""
    return miniature.build_all(tmp_path_factory.mktemp("rules"), split_file=False)


def dataset(name: str, root: Path | None):
    return PLUGINS[name](root)


def parts_of(splits) -> dict:
    return {"train": splits.train, "val": splits.val, "test": splits.test}


def error(action) -> str:
    with pytest.raises(UserError) as caught:
        action()
    assert "\n" not in str(caught.value)
    assert caught.value.fix
    return str(caught.value)


# --- what the plugins state ------------------------------------------------------------------------------------------


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


# --- reading ---------------------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("name", RULED)
def test_a_split_file_is_read_in_its_order(name, with_splits):
    content = json.loads((with_splits / miniature.SPLIT_FILES[name]).read_text())
    splits = dataset(name, with_splits).load()
    for part, examples in parts_of(splits).items():
        assert [[path, label] for path, label, _ in content[part]] == [
            [path, label] for path, label in zip(examples.images.paths, examples.labels, strict=True)
        ]


@pytest.mark.parametrize("name", FACTS)
def test_images_open_as_rgb(name, with_splits):
    """Grey images and PNGs named .jpg among them; and each shows its class."""
    splits = dataset(name, with_splits).load()
    clean = [np.random.default_rng(label).integers(0, 256, (4, 4, 3)).repeat(10, 0).repeat(10, 1) for label in range(12)]
    for row in range(len(splits.test)):
        image = splits.test.images[row]
        assert (image.mode, image.size) == ("RGB", (miniature.SIZE, miniature.SIZE))
        pixels = np.asarray(image, float)
        if np.ptp(pixels, axis=2).max() > 0:  # not a grey one
            nearest = min(range(12), key=lambda label: np.abs(pixels - clean[label]).mean())
            assert nearest == splits.test.labels[row]


def test_windows_paths_in_a_split_file(tmp_path):
    folder = miniature.build(tmp_path, "dtd")
    file = tmp_path / miniature.SPLIT_FILES["dtd"]
    before = dataset("dtd", tmp_path).load()
    file.write_text(file.read_text().replace("/", "\\\\"))
    assert "banded\\\\banded_0001.jpg" in file.read_text()
    after = dataset("dtd", tmp_path).load()
    assert after.train.images.paths == before.train.images.paths
    assert after.train.images.root == folder / "images"


# --- few-shot draws --------------------------------------------------------------------------------------------------


def listed(name: str, root: Path) -> dict[str, list[tuple[str, int]]]:
    """The train and val lists, read again without the plugins."""
    if name in RULED:
        content = json.loads((root / miniature.SPLIT_FILES[name]).read_text())
        return {part: [(path, label) for path, label, _ in content[part]] for part in ("train", "val")}
    if name == "fgvc-aircraft":
        variants = (root / "fgvc_aircraft/variants.txt").read_text().split("\n")
        lines = {
            part: (root / f"fgvc_aircraft/images_variant_{part}.txt").read_text().splitlines() for part in ("train", "val")
        }
        return {part: [(f"{line[:7]}.jpg", variants.index(line[8:])) for line in content] for part, content in lines.items()}
    train = root / "imagenet/images/train"
    folders = sorted(os.listdir(train))
    files = [
        (f"train/{folder}/{file}", folders.index(folder))
        for folder in folders
        for file in sorted(os.listdir(train / folder))
    ]
    return {"train": files, "val": []}


def drawn(items: list[tuple[str, int]], count: int) -> list[str]:
    """Dassl's rule, from Python's global stream."""
    classes: dict[int, list[str]] = {}
    for path, label in items:
        classes.setdefault(label, []).append(path)
    chosen: list[str] = []
    for paths in classes.values():
        chosen.extend(random.sample(paths, count) if len(paths) >= count else paths)
    return chosen


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("name", TRAINED)
def test_the_few_shots_are_those_of_dassl(name, seed, with_splits):
    plugin = dataset(name, with_splits)
    splits, lists, state = plugin.load(), listed(name, with_splits), random.getstate()
    for shots in (1, 4, 16):
        random.seed(seed)
        train = drawn(lists["train"], shots)
        val = drawn(lists["val"], min(shots, 4))
        task = make_task(plugin, splits, TaskId(name, DOMAIN, shots, seed))
        assert list(task.train.images.paths) == train
        assert list(task.val.images.paths) == val
        half = make_task(plugin, splits, TaskId(name, BASE_TO_NEW, shots, seed))
        base, labels = len(half.classes), dict(lists["train"])
        assert list(half.train.images.paths) == [path for path in train if labels[path] < base]
    random.setstate(state)


def test_an_odd_number_of_classes_gives_base_one_more(tmp_path):
    miniature.build(tmp_path, "oxford-pets")
    rows = [["Bengal_1.jpg", label, f"breed_{label:02d}"] for label in range(37)]
    (tmp_path / miniature.SPLIT_FILES["oxford-pets"]).write_text(json.dumps({"train": rows, "val": [], "test": rows}))
    plugin = dataset("oxford-pets", tmp_path)
    task = make_task(plugin, plugin.load(), TaskId("oxford-pets", BASE_TO_NEW, 4, 1))
    base, new = task.tests
    assert (len(base.classes), len(new.classes)) == (19, 18)
    assert (base.classes[-1], new.classes[0]) == ("breed_18", "breed_19")
    assert sorted(new.examples.labels) == list(range(18))
    assert len(task.val) == 0


# --- hashes and determinism ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FACTS)
def test_the_digest_does_not_depend_on_where_the_data_lie(name, by_rule, tmp_path):
    miniature.build(tmp_path / "another place", name, split_file=False)
    one, two = dataset(name, by_rule).load(), dataset(name, tmp_path / "another place").load()
    assert one.test.digest == two.test.digest
    if one.train:
        assert one.train.digest == two.train.digest
        hashes = [make_task(PLUGINS[name](), splits, TaskId(name, DOMAIN, 2, 1)) for splits in (one, two)]
        assert hashes[0].split_hash() == hashes[1].split_hash()
        assert hashes[0].test_hash() == hashes[1].test_hash()
    assert one.test.digest != one.test.pick(range(len(one.test) - 1)).digest


@pytest.mark.parametrize("name", FACTS)
@pytest.mark.parametrize("order", [1, 2])
def test_nothing_depends_on_the_order_in_which_a_disk_lists(name, order, by_rule, monkeypatch):
    expected = dataset(name, by_rule).load()
    scandir = os.scandir

    class Disordered:
        def __init__(self, folder):
            with scandir(folder) as entries:
                self.entries = sorted(entries, key=lambda entry: entry.name)
            random.Random(order).shuffle(self.entries)

        def __enter__(self):
            return iter(self.entries)

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(os, "scandir", Disordered)
    found = dataset(name, by_rule).load()
    assert found.classes == expected.classes
    for one, two in zip(parts_of(expected).values(), parts_of(found).values(), strict=True):
        assert (one is None) == (two is None)
        if one and two:
            assert (one.images.paths, one.labels) == (two.images.paths, two.labels)


def test_the_rules_round_as_python_does():
    """Each class on its own: 5 images are 2, 1 and 2; 11 are 6, 2 and 3; 13 held out by a fifth are 10 and 3."""
    items = [Item(f"{label}/{number}", label, "x") for label, count in ((3, 5), (1, 11)) for number in range(count)]
    split = splits.split_classes(items)
    assert [Counter(item.label for item in part) for part in (split.train, split.val, split.test)] == [
        {3: 2, 1: 6},
        {3: 1, 1: 2},
        {3: 2, 1: 3},
    ]
    assert [item.label for item in split.train] == [3] * 2 + [1] * 6, "classes by first appearance"
    held = splits.hold_out([Item(str(number), 0, "x") for number in range(13)], ())
    assert (len(held.train), len(held.val)) == (10, 3)
    assert [item.path for item in held.val] != sorted(item.path for item in held.val), "shuffled"


# --- broken data -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*RULED, "fgvc-aircraft"])
@pytest.mark.parametrize("split_file", [True, False])
def test_a_missing_image_is_named_at_once(name, split_file, tmp_path):
    folder = miniature.build(tmp_path, name, split_file=split_file)
    splits = dataset(name, tmp_path).load()
    lost = splits.test.images.root / splits.test.images.paths[-1]
    lost.unlink()
    if not split_file and not PLUGINS[name].needs:  # folders are listed: there is one image less
        again = dataset(name, tmp_path).load()
        assert sum(len(part) for part in parts_of(again).values()) == sum(SIZES[name]) - 1
        return
    message = error(dataset(name, tmp_path).load)
    assert f"1 of {sum(SIZES[name])} images are missing" in message
    assert lost.name in message
    assert str(folder) in message
    assert error(lambda: splits.test.images[len(splits.test) - 1]).startswith(f"{lost}: no such image")


@pytest.mark.parametrize("content", [b"", b"no image", miniature.picture(0, 0, ".jpg")[:400]], ids=["empty", "text", "cut"])
def test_an_unreadable_image_is_named_when_it_is_opened(content, tmp_path):
    miniature.build(tmp_path, "eurosat")
    splits = dataset("eurosat", tmp_path).load()
    file = splits.train.images.root / splits.train.images.paths[3]
    file.write_bytes(content)
    splits = dataset("eurosat", tmp_path).load()
    assert splits.train.images[2]
    assert error(lambda: splits.train.images[3]).startswith(f"{file}: not a readable image")


def gap(split):
    for part in split.values():
        part[:] = [[path, label + (label == 3), name] for path, label, name in part]


def without(part, label):
    def change(split):
        split[part] = [row for row in split[part] if row[1] != label]

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (gap, "labels must be 0 to 3 without gaps"),
        (without("train", 2), "class 'Herbaceous Vegetation Land' has no training image"),
        (without("test", 3), "class 'Sea or Lake' has no test image"),
        (lambda split: split["train"].clear(), "class 'Annual Crop Land' has no training image"),
        (lambda split: [part.clear() for part in split.values()], "no images in the split"),
        (lambda split: split.pop("val"), "not a split file (KeyError: 'val')"),
        (lambda split: split["val"].append(["a.jpg", "0", "x"]), "label '0'"),
        (lambda split: split["val"].append(["a.jpg", -1, "x"]), "label -1"),
        (lambda split: split["val"].append(["a.jpg", 0]), "not a split file (ValueError"),
        (lambda split: split.update(val=3), "not a split file (TypeError"),
    ],
)
def test_a_wrong_split_is_refused(change, words, tmp_path):
    miniature.build(tmp_path, "eurosat")
    file = tmp_path / miniature.SPLIT_FILES["eurosat"]
    split = json.loads(file.read_text())
    change(split)
    file.write_text(json.dumps(split))
    message = error(dataset("eurosat", tmp_path).load)
    assert words in message
    assert str(file) in message


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe\x00", b'{"train": {}}'])
def test_a_split_file_that_is_none(content, tmp_path):
    miniature.build(tmp_path, "food101")
    file = tmp_path / miniature.SPLIT_FILES["food101"]
    file.write_bytes(content)
    message = error(dataset("food101", tmp_path).load)
    assert message.startswith(f"{file}: not a split file")
    assert "remove it" in message


@pytest.mark.parametrize(
    ("name", "file", "content", "words"),
    [
        (
            "oxford-pets",
            "annotations/trainval.txt",
            b"Abyssinian_1 1 1 1\nAbyssinian_2\n",
            "trainval.txt, line 2: makes no sense",
        ),
        ("oxford-pets", "annotations/test.txt", b"Abyssinian_1 one 1 1\n", "test.txt, line 1"),
        ("oxford-pets", "annotations/test.txt", b"\xff\xff", "test.txt: cannot be read"),
        ("sun397", "Testing_01.txt", b"/z/zoo/sun_a1.jpg\n", "Testing_01.txt, line 1: makes no sense: '/z/zoo/sun_a1.jpg'"),
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
    assert words in error(dataset(name, tmp_path).load)


@pytest.mark.parametrize("name", ["caltech101", "food101", "dtd", "eurosat"])
def test_folders_without_images(name, tmp_path):
    folder = miniature.build(tmp_path, name, split_file=False) / PLUGINS[name].image_folder
    (folder / "an_empty_one").mkdir()
    assert f"{folder / 'an_empty_one'}: a class without images" in error(dataset(name, tmp_path).load)
    shutil.rmtree(folder)
    folder.mkdir()
    assert f"{folder}: no folder with images" in error(dataset(name, tmp_path).load)


@pytest.mark.parametrize("name", FACTS)
def test_counts_that_are_not_the_published_ones_are_warnings(name, with_splits, monkeypatch):
    plugin = dataset(name, with_splits)
    splits = plugin.load()
    found = dict(zip(("classes", "train", "val", "test"), (len(splits.classes), *SIZES[name]), strict=True))
    expected = [
        f"dataset {name!r} has {found[part]} {part}{'' if part == 'classes' else ' images'}, published: {count:,}"
        for part, count in zip(found, FACTS[name][1], strict=True)
        if count is not None
    ]
    assert list(splits.warnings) == expected
    monkeypatch.setattr(type(plugin), "counts", Counts(**found))
    assert plugin.load().warnings == ()


# --- Flowers' names --------------------------------------------------------------------------------------------------


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
    assert "cat_to_name.json: no names for the classes" in error(plugin.load)


# --- ImageNet and its shifted test sets ---


def test_two_classes_of_one_name_stay_two(with_splits):
    splits = dataset("imagenet", with_splits).load()
    assert [label for label, name in enumerate(splits.classes) if name == "missile"] == [8, 9]
    assert {
        path.split("/")[1] for path, label in zip(splits.test.images.paths, splits.test.labels, strict=True) if label == 9
    } == {"n04008634"}


def test_folders_named_by_numbers_sort_as_numbers(with_splits):
    splits = dataset("imagenet-v2", with_splits).load()
    assert all(
        int(path.split("/")[0]) == label for path, label in zip(splits.test.images.paths, splits.test.labels, strict=True)
    )
    assert splits.test.labels == tuple(sorted(splits.test.labels))


def test_imagenet_is_listed_without_asking_about_each_file(with_splits, monkeypatch):
    asked = []
    stat = os.stat
    monkeypatch.setattr(os, "stat", lambda path, *args, **kwargs: asked.append(path) or stat(path, *args, **kwargs))
    dataset("imagenet", with_splits).load()
    assert 0 < len(asked) < 12


@pytest.mark.parametrize("name", ["imagenet-v2", "imagenet-sketch", "imagenet-a", "imagenet-r"])
def test_names_come_from_imagenets_own_list_too(name, tmp_path):
    folder = miniature.build(tmp_path, name)
    (tmp_path / "imagenet").mkdir()
    (folder / "classnames.txt").rename(tmp_path / "imagenet" / "classnames.txt")
    splits = dataset(name, tmp_path).load()
    assert splits.classes == miniature.CLASSES[name]
    assert splits.note == "class names of classnames.txt"


def touch(folder: Path, names) -> None:
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / "a.JPEG").touch()


WNIDS = [f"n{10_000_000 + 17 * number:08d}" for number in range(1000)]


def test_names_of_open_clip_where_no_list_is(tmp_path):
    for part in ("train", "val"):
        touch(tmp_path / "imagenet/images" / part, WNIDS)
    touch(tmp_path / "imagenetv2/imagenetv2-matched-frequency-format-val", map(str, range(1000)))
    for name in ("imagenet", "imagenet-v2"):
        splits = dataset(name, tmp_path).load()
        assert splits.classes == tuple(IMAGENET_CLASSNAMES)
        assert splits.test.labels == tuple(range(1000))
        assert splits.note == "class names of open_clip"
    assert splits.test.images.paths[10] == "10/a.JPEG"


@pytest.mark.parametrize(
    ("name", "folder", "first"),
    [
        ("imagenet-a", "imagenet-adversarial/imagenet-a", ("stingray", "goldfinch", "junco", "American robin", "jay")),
        (
            "imagenet-r",
            "imagenet-rendition/imagenet-r",
            ("goldfish", "great white shark", "hammerhead shark", "stingray", "hen"),
        ),
    ],
)
def test_the_two_hundred_classes_among_the_thousand(name, folder, first, tmp_path):
    rows = PLUGINS[name].rows
    assert len(rows) == len(set(rows)) == 200
    assert list(rows) == sorted(rows)
    touch(tmp_path / folder, [WNIDS[row] for row in rows])
    classes = dataset(name, tmp_path).load().classes
    assert classes == tuple(IMAGENET_CLASSNAMES[row] for row in rows)
    assert (classes[:5], classes[-1]) == (first, "acorn")


def test_the_two_subsets_share_86_classes():
    assert len({*PLUGINS["imagenet-a"].rows} & {*PLUGINS["imagenet-r"].rows}) == 86


@pytest.mark.parametrize("name", ["imagenet", "imagenet-v2", "imagenet-sketch", "imagenet-a", "imagenet-r"])
def test_no_names_for_another_number_of_folders(name, tmp_path):
    (miniature.build(tmp_path, name) / "classnames.txt").unlink()
    message = error(dataset(name, tmp_path).load)
    assert ("folders must be named 0 to 999" if name == "imagenet-v2" else "no classnames.txt to name them") in message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"n01440764 tench\nn01443537\n", "line 2: makes no sense: 'n01443537'"),
        (b"n01440764 tench\n", "no name for the folder n01443537"),
        (b"n01440764 tench\nn01440764 goldfish\n", "an id occurs twice"),
        (b"\xff", "cannot be read"),
    ],
)
def test_a_wrong_list_of_names(content, words, tmp_path):
    file = miniature.build(tmp_path, "imagenet") / "classnames.txt"
    file.write_bytes(content)
    message = error(dataset("imagenet", tmp_path).load)
    assert words in message
    assert str(file) in message


def test_validation_images_that_were_never_sorted_into_folders(tmp_path):
    val = miniature.build(tmp_path, "imagenet") / "images" / "val"
    shutil.rmtree(val)
    val.mkdir()
    (val / "ILSVRC2012_val_00000001.JPEG").touch()
    assert f"{val}: no class folders (fix: sort the images" in error(dataset("imagenet", tmp_path).load)


@pytest.mark.parametrize("part", ["train", "val"])
def test_train_and_val_must_have_the_same_classes(part, tmp_path):
    folder = miniature.build(tmp_path, "imagenet") / "images" / part
    shutil.rmtree(folder / "n01496331")
    message = error(dataset("imagenet", tmp_path).load)
    assert "1 class folders are not in both, such as n01496331" in message


@pytest.mark.parametrize("name", ["imagenet", *VARIANTS])
def test_an_empty_class_folder(name, tmp_path):
    miniature.build(tmp_path, name)
    splits = dataset(name, tmp_path).load()
    empty = (splits.test.images.root / splits.test.images.paths[-1]).parent
    for file in empty.iterdir():
        file.unlink()
    assert f"{empty}: a class without images" in error(dataset(name, tmp_path).load)


def test_a_number_without_a_folder(tmp_path):
    folder = miniature.build(tmp_path, "imagenet-v2") / "imagenetv2-matched-frequency-format-val"
    shutil.rmtree(folder / "4")
    assert f"{folder}: folders must be named 0 to 11" in error(dataset("imagenet-v2", tmp_path).load)


# --- what is missing, and fetching it --------------------------------------------------------------------------------

FETCHED = ("caltech101", "oxford-pets", "oxford-flowers", "food101", "fgvc-aircraft", "sun397", "dtd", "eurosat")


@pytest.mark.parametrize("name", FACTS)
def test_without_a_data_root(name):
    plugin = dataset(name, None)
    missing = plugin.missing()
    assert missing
    assert (missing.what, missing.reason, missing.fetchable) == (f"dataset {name!r}", "no data root was named", False)
    assert "--data-root" in missing.how
    assert f"dataset {name!r}: no data root was named (fix: give --data-root)" == error(plugin.load)
    assert "--data-root" in error(plugin.prepare)


@pytest.mark.parametrize("name", FACTS)
def test_with_an_empty_data_root(name, tmp_path):
    plugin = dataset(name, tmp_path)
    missing = plugin.missing()
    assert missing
    assert str(tmp_path / plugin.folder) in missing.reason
    assert all(str(tmp_path / plugin.folder / each) in missing.reason for each in plugin.needs)
    assert plugin.where in missing.how
    assert missing.size == plugin.size
    assert missing.fetchable == (name in FETCHED)
    assert missing.reason in error(plugin.load)
    if name not in FETCHED:
        message = error(plugin.prepare)
        assert "cannot be fetched by a program" in message
        assert plugin.where in message
    assert not (tmp_path / plugin.folder).exists()


@pytest.mark.parametrize("name", FACTS)
@pytest.mark.parametrize("split_file", [True, False])
def test_when_all_is_there_nothing_is_missing(name, split_file, with_splits, by_rule):
    plugin = dataset(name, with_splits if split_file else by_rule)
    assert plugin.missing() is None
    plugin.prepare()  # has nothing to do


@pytest.mark.parametrize("name", [name for name in RULED if PLUGINS[name].needs])
def test_lists_are_needed_only_without_a_split_file(name, tmp_path):
    miniature.build(tmp_path, name)
    (tmp_path / miniature.SPLIT_FILES[name]).unlink()
    missing = dataset(name, tmp_path).missing()
    assert missing
    assert missing.reason == "not found: " + ", ".join(
        str(tmp_path / PLUGINS[name].folder / each) for each in PLUGINS[name].needs
    )


def test_half_of_a_data_set_is_not_enough(tmp_path):
    folder = miniature.build(tmp_path, "stanford-cars")
    shutil.rmtree(folder / "cars_test")
    missing = dataset("stanford-cars", tmp_path).missing()
    assert missing
    assert missing.reason == f"not found: {folder / 'cars_test'}"


# What the archives hold that torchvision downloads: from the folder of the miniature, and extra files of torchvision's own.
ARCHIVES = {
    "images.tar.gz": ("oxford-pets", {"images": "images"}, {}),
    "annotations.tar.gz": ("oxford-pets", {"annotations": "annotations"}, {}),
    "102flowers.tgz": ("oxford-flowers", {"jpg": "jpg"}, {}),
    "food-101.tar.gz": ("food101", {"images": "food-101/images"}, {"food-101/meta/train.json": b"{}"}),
    "fgvc-aircraft-2013b.tar.gz": (
        "fgvc-aircraft",
        {".": "fgvc-aircraft-2013b/data"},
        {"fgvc-aircraft-2013b/data/images_variant_trainval.txt": b""},
    ),
    "SUN397.tar.gz": ("sun397", {"SUN397": "SUN397"}, {}),
    "dtd-r1.0.1.tar.gz": ("dtd", {"images": "dtd/images"}, {"dtd/labels/train1.txt": b""}),
    "EuroSAT.zip": ("eurosat", {"2750": "2750"}, {}),
}


@pytest.fixture
def internet(monkeypatch, by_rule):
    """torchvision's own classes, but what they download comes from the miniatures."""

    def unpack(url, download_root, *_, **__):
        archive = url.rsplit("/", 1)[-1]
        root = Path(download_root)
        if archive == "caltech-101.zip":  # archives within an archive
            (root / "caltech-101").mkdir()
            (root / archive).touch()
            with tarfile.open(root / "caltech-101" / "101_ObjectCategories.tar.gz", "w:gz") as tar:
                tar.add(by_rule / "caltech-101" / "101_ObjectCategories", "101_ObjectCategories")
            return
        name, folders, extra = ARCHIVES[archive]
        for source, target in folders.items():
            shutil.copytree(by_rule / PLUGINS[name].folder / source, root / target)
        if name == "sun397":
            shutil.copy(by_rule / "sun397" / "ClassName.txt", root / "SUN397")
        for target, content in extra.items():
            (root / target).parent.mkdir(exist_ok=True)
            (root / target).write_bytes(content)

    def download(url, root, *_, **__):
        file = url.rsplit("/", 1)[-1]
        labels = by_rule / "oxford_flowers" / "imagelabels.mat"
        content = miniature.mat(trnid=np.arange(1, 4)) if file == "setid.mat" else labels.read_bytes()
        (Path(root) / file).write_bytes(content)

    for module in ("caltech", "oxford_iiit_pet", "flowers102", "food101", "fgvc_aircraft", "sun397", "dtd", "eurosat"):
        monkeypatch.setattr(
            importlib.import_module(f"torchvision.datasets.{module}"), "download_and_extract_archive", unpack
        )
    flowers = importlib.import_module("torchvision.datasets.flowers102")
    monkeypatch.setattr(flowers, "download_url", download)
    monkeypatch.setattr(flowers, "check_integrity", lambda file, *_: os.path.exists(file))


@pytest.mark.parametrize("name", [name for name in FETCHED if name != "sun397"])
def test_what_torchvision_fetches_is_put_where_it_belongs(name, internet, tmp_path, by_rule):
    plugin = dataset(name, tmp_path)
    plugin.prepare()
    assert plugin.missing() is None
    one, two = plugin.load(), dataset(name, by_rule).load()
    assert one.classes == two.classes
    assert one.train.digest == two.train.digest
    kept = {target.split("/")[0] for target in plugin.fetch.moves.values()}
    assert {each.name for each in plugin.root.iterdir()} == kept, "nothing else is left"


def test_torchvision_leaves_the_lists_of_sun397_out(internet, tmp_path, by_rule):
    plugin = dataset("sun397", tmp_path)
    message = error(plugin.prepare)
    assert "was fetched, but not all of it" in message
    assert "Training_01.txt" in message
    assert "ClassName.txt" not in message
    missing = plugin.missing()
    assert missing
    assert not missing.fetchable, "39 GB are not to be fetched a second time"
    for each in ("Training_01.txt", "Testing_01.txt"):
        shutil.copy(by_rule / "sun397" / each, plugin.root)
    assert plugin.load().classes == miniature.CLASSES["sun397"]


def test_fetching_leaves_what_is_there(internet, tmp_path):
    folder = tmp_path / "fgvc_aircraft"
    folder.mkdir()
    (folder / "variants.txt").write_text("my own\n")
    dataset("fgvc-aircraft", tmp_path).prepare()
    assert (folder / "variants.txt").read_text() == "my own\n"
    assert (folder / "images_variant_val.txt").is_file()


def test_a_download_that_fails_leaves_nothing(tmp_path, monkeypatch):
    class Broken:
        def __init__(self, root, download):
            (Path(root) / "half.zip").touch()
            raise RuntimeError("the server hung up")

    monkeypatch.setattr(torchvision.datasets, "DTD", Broken)
    plugin = dataset("dtd", tmp_path)
    message = error(plugin.prepare)
    assert message.startswith("dataset 'dtd' could not be fetched: the server hung up (fix: get it from https://")
    assert list(plugin.root.iterdir()) == []
