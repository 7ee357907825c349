"""The photo data sets in miniature: the real folder layouts and naming quirks with a few small images for each class."""

from __future__ import annotations

import functools
import io
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

SIZE = 40

WNIDS = {
    "n01440764": "tench",
    "n01443537": "goldfish",
    "n01484850": "great white shark",
    "n01491361": "tiger shark",
    "n01494475": "hammerhead shark",
    "n01496331": "electric ray",
    "n01498041": "stingray",
    "n01514668": "rooster",
    "n03773504": "missile",
    "n04008634": "missile",
    "n04355933": "sunglasses",
    "n04356056": "sunglasses",
}
"""Twelve classes, so that folders named by numbers sort otherwise as text; two names occur twice, as in the real list."""
KEPT = {
    "imagenet-a": ("n01498041", "n03773504", "n04356056"),
    "imagenet-r": ("n01443537", "n01484850", "n01494475", "n01498041"),
}

CLASSES = {
    "imagenet": tuple(WNIDS.values()),
    "caltech101": ("face", "leopard", "airplane", "water_lilly"),
    "oxford-pets": ("abyssinian", "american_bulldog", "bengal", "shiba_inu"),
    "stanford-cars": (
        "2000 AM General Hummer SUV",
        "2012 Acura RL Sedan",
        "2012 Ram C/V Cargo Van Minivan",
        "2012 smart fortwo Convertible",
    ),
    "oxford-flowers": ("pink primrose", "hard-leaved pocket orchid", "canterbury bells", "sweet pea"),
    "food101": ("apple_pie", "baby_back_ribs", "fish_and_chips", "pork_chop"),
    "fgvc-aircraft": ("707-320", "DHC-8-100", "F/A-18", "Falcon 2000"),
    "sun397": ("abbey", "outdoor apartment_building", "indoor kennel", "yard"),
    "dtd": ("banded", "polka-dotted", "smeared", "zigzagged"),
    "eurosat": ("Annual Crop Land", "Forest", "Herbaceous Vegetation Land", "Sea or Lake"),
    "ucf101": ("Apply_Eye_Makeup", "Handstand_Pushups", "Long_Jump", "Yo_Yo"),
    "imagenet-v2": tuple(WNIDS.values()),
    "imagenet-sketch": tuple(WNIDS.values()),
    "imagenet-a": tuple(WNIDS[each] for each in KEPT["imagenet-a"]),
    "imagenet-r": tuple(WNIDS[each] for each in KEPT["imagenet-r"]),
}
"""What every data set must call its classes, in the order of the labels."""
SPLIT_FILES = {
    "caltech101": "caltech-101/split_zhou_Caltech101.json",
    "oxford-pets": "oxford_pets/split_zhou_OxfordPets.json",
    "stanford-cars": "stanford_cars/split_zhou_StanfordCars.json",
    "oxford-flowers": "oxford_flowers/split_zhou_OxfordFlowers.json",
    "food101": "food-101/split_zhou_Food101.json",
    "sun397": "sun397/split_zhou_SUN397.json",
    "dtd": "dtd/split_zhou_DescribableTextures.json",
    "eurosat": "eurosat/split_zhou_EuroSAT.json",
    "ucf101": "ucf101/split_zhou_UCF101.json",
}
"""Where each split file belongs; the other data sets have none."""


def build(root: Path, name: str, *, split_file: bool = True) -> Path:
    """Lay a data set out below a data root, and return its folder.

    With ``split_file`` it has CoOp's split file where there is one and nothing else that names a split; without, it has
    the lists that the split is made from.
    """
    made = contents(name)
    for label, paths in made.images.items():
        for number, path in enumerate(paths):
            _write(root / made.folder / made.image_folder / path, picture(label, number, Path(path).suffix))
    if split_file and name in SPLIT_FILES:
        _write(root / SPLIT_FILES[name], json.dumps(split_of(made, CLASSES[name]), indent=4).encode())
    else:
        for path, content in made.lists.items():
            _write(root / made.folder / path, content)
    for path, content in made.others.items():
        _write(root / made.folder / path, content)
    return root / made.folder


def contents(name: str) -> Made:
    """What ``build`` writes."""
    return _MAKERS[name]()


def build_all(root: Path, *, split_file: bool = True) -> Path:
    """Lay all of them out below one data root, and return it."""
    for name in _MAKERS:
        build(root, name, split_file=split_file)
    return root


@functools.cache
def picture(label: int, number: int, suffix: str) -> bytes:
    """An image file: one coarse pattern a class, and noise. Some are grey or PNG inside, as in the real data sets."""
    pattern = np.random.default_rng(label).integers(0, 256, (4, 4, 3)).repeat(SIZE // 4, 0).repeat(SIZE // 4, 1)
    noise = np.random.default_rng(1000 + number).normal(0, 30, pattern.shape)
    image = Image.fromarray(np.clip(pattern + noise, 0, 255).astype(np.uint8))
    content = io.BytesIO()
    (image.convert("L") if number == 1 else image).save(content, "PNG" if suffix == ".png" or number == 2 else "JPEG")
    return content.getvalue()


@dataclass
class Made:
    """What a data set consists of. ``images`` are by label and below the image folder, the rest is below the folder."""

    folder: str
    image_folder: str
    images: dict[int, list[str]]
    lists: dict[str, bytes] = field(default_factory=dict)
    """What a split is made from where there is no split file."""
    others: dict[str, bytes] = field(default_factory=dict)
    held_out: dict[int, list[str]] = field(default_factory=dict)
    """The official test images, where there are such."""


def split_of(made: Made, classes: tuple[str, ...]) -> dict[str, list]:
    """The content of a split file; classes do not come in the order of their labels."""
    parts: dict[str, list] = {"train": [], "val": [], "test": []}
    for label in (*range(1, len(classes)), 0):
        paths = made.images[label]
        official = made.held_out.get(label, paths[-3:])
        rest = [path for path in reversed(paths) if path not in official]
        for part, chosen in (("train", rest[:-2]), ("val", rest[-2:]), ("test", official)):
            parts[part] += [[path, label, classes[label]] for path in chosen]
    return parts


def _write(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


def _text(lines) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def mat(**variables) -> bytes:
    """A MATLAB file of these variables."""
    content = io.BytesIO()
    savemat(content, variables)
    return content.getvalue()


def _folders(folder: str, image_folder: str, names: list[str], file: str, others: dict | None = None) -> Made:
    """One folder a class; the first has one image more than the others."""
    images = {
        label: [f"{name}/{file.format(name=name, number=number)}" for number in range(1, 12 if label == 0 else 11)]
        for label, name in enumerate(names)
    }
    return Made(folder, image_folder, images, others=others or {})


def _caltech101() -> Made:
    ignored = {f"101_ObjectCategories/{each}/image_0001.jpg": b"" for each in ("BACKGROUND_Google", "Faces_easy")}
    names = ["Faces", "Leopards", "airplanes", "water_lilly"]
    return _folders("caltech-101", "101_ObjectCategories", names, "image_{number:04d}.jpg", ignored)


def _food101() -> Made:
    return _folders("food-101", "images", list(CLASSES["food101"]), "10{number}.jpg", {"meta/classes.txt": b"apple_pie\n"})


def _dtd() -> Made:
    hidden = {"images/banded/.directory": b"", "images/banded/._banded_0001.jpg": b"", "images/.DS_Store": b""}
    return _folders("dtd", "images", list(CLASSES["dtd"]), "{name}_{number:04d}.jpg", hidden)


def _eurosat() -> Made:
    names = ["AnnualCrop", "Forest", "HerbaceousVegetation", "SeaLake"]
    return _folders("eurosat", "2750", names, "{name}_{number}.jpg")


def _official(folder: str, image_folder: str, train: dict[int, list[str]], test: dict[int, list[str]]) -> Made:
    images = {label: [*train[label], *test[label]] for label in train}
    return Made(folder, image_folder, images, held_out=test)


def _interleaved(images: dict[int, list[str]]) -> list[tuple[str, int]]:
    """Paths with labels: the first image of every class, then the second, and so on, classes backwards."""
    longest = max(map(len, images.values()))
    return [
        (images[label][number], label)
        for number in range(longest)
        for label in sorted(images, reverse=True)
        if number < len(images[label])
    ]


def _numbered(names, file: str, start: int, stop: int) -> dict[int, list[str]]:
    return {
        label: [file.format(name=name, number=number) for number in range(start, stop)] for label, name in enumerate(names)
    }


def _oxford_pets() -> Made:
    breeds = ["Abyssinian", "american_bulldog", "Bengal", "shiba_inu"]
    train, test = _numbered(breeds, "{name}_{number}.jpg", 1, 11), _numbered(breeds, "{name}_{number}.jpg", 11, 15)
    made = _official("oxford_pets", "images", train, test)
    for file, images in (("trainval", train), ("test", test)):
        lines = [f"{path.removesuffix('.jpg')} {label + 1} 1 1" for path, label in _interleaved(images)]
        made.lists[f"annotations/{file}.txt"] = _text(lines)
    return made


def _stanford_cars() -> Made:
    names = [f"{name.split(' ', 1)[1]} {name.split(' ', 1)[0]}" for name in CLASSES["stanford-cars"]]
    train = {label: [f"cars_train/{label + 4 * row + 1:05d}.jpg" for row in range(10)] for label in range(4)}
    test = {label: [f"cars_test/{label + 4 * row + 1:05d}.jpg" for row in range(3)] for label in range(4)}
    made = _official("stanford_cars", "", train, test)
    made.lists["devkit/cars_meta.mat"] = mat(class_names=np.array([names], dtype=object))
    for file, images in (("devkit/cars_train_annos", train), ("cars_test_annos_withlabels", test)):
        fields = [(field, object) for field in ("bbox_x1", "class", "fname")]
        rows = [(1, label + 1, path.split("/")[1]) for path, label in sorted(_interleaved(images))]
        made.lists[f"{file}.mat"] = mat(annotations=np.array([rows], dtype=fields))
    return made


def _oxford_flowers() -> Made:
    labels = np.array([3, 1, 2, 4] * 10 + [3])
    images = {label: [f"image_{row + 1:05d}.jpg" for row in np.flatnonzero(labels == label + 1)] for label in range(4)}
    names = {str(label + 1): name for label, name in enumerate(CLASSES["oxford-flowers"])}
    lists = {
        "imagelabels.mat": mat(labels=labels.astype(np.uint8)[None]),
        "cat_to_name.json": json.dumps(dict(reversed(names.items()))).encode(),
    }
    return Made("oxford_flowers", "jpg", images, lists)


def _fgvc_aircraft() -> Made:
    names = CLASSES["fgvc-aircraft"]
    parts, start = {}, 34309
    for part, count in (("train", 6), ("val", 5), ("test", 5)):
        parts[part] = {label: [f"{start + 4 * row + label:07d}.jpg" for row in range(count)] for label in range(4)}
        start += 100
    images = {label: [path for part in parts.values() for path in part[label]] for label in range(4)}
    made = Made("fgvc_aircraft", "images", images)
    made.others["variants.txt"] = _text(names)
    for part, images in parts.items():
        lines = [f"{path.removesuffix('.jpg')} {names[label]}" for path, label in _interleaved(images)]
        made.others[f"images_variant_{part}.txt"] = _text(lines)
    return made


def _sun397() -> Made:
    folders = ["a/abbey", "a/apartment_building/outdoor", "k/kennel/indoor", "y/yard"]
    train, test = (
        _numbered(folders, "{name}/sun_a{number}.jpg", 10, 20),
        _numbered(folders, "{name}/sun_a{number}.jpg", 20, 25),
    )
    made = _official("sun397", "SUN397", train, test)
    made.lists["ClassName.txt"] = _text(f"/{folder}" for folder in folders)
    made.lists["Training_01.txt"] = _text(f"/{path}" for path, _ in _interleaved(train))
    made.lists["Testing_01.txt"] = _text(f"/{path}" for path, _ in _interleaved(test))
    return made


def _ucf101() -> Made:
    videos = {each: each for each in ("ApplyEyeMakeup", "HandstandPushups", "LongJump", "YoYo")}
    videos["HandstandPushups"] = "HandStandPushups"
    names = [f"{name}/v_{video}" for name, video in zip(CLASSES["ucf101"], videos.values(), strict=True)]
    train = _numbered(names, "{name}_g08_c{number:02d}.jpg", 1, 11)
    test = _numbered(names, "{name}_g01_c{number:02d}.jpg", 1, 5)
    made = _official("ucf101", "UCF-101-midframes", train, test)

    def line(path: str, label: int) -> str:
        return f"{list(videos)[label]}/{path.split('/')[1].replace('.jpg', '.avi')}"

    index = "".join(f"{label} {action}\r\n" for label, action in enumerate(videos, start=1))
    made.lists["ucfTrainTestlist/classInd.txt"] = index.encode()
    trained = [f"{line(path, label)} {label + 1}" for path, label in _interleaved(train)]
    made.lists["ucfTrainTestlist/trainlist01.txt"] = _text(trained)
    made.lists["ucfTrainTestlist/testlist01.txt"] = _text(line(path, label) for path, label in _interleaved(test))
    return made


CLASSNAMES = _text(f"{wnid} {name}" for wnid, name in WNIDS.items())


def _imagenet() -> Made:
    images = {
        label: [f"train/{wnid}/{wnid}_{number}.JPEG" for number in (9, 10, 1000, 11, 2, 33)]
        + [f"val/{wnid}/ILSVRC2012_val_{number:08d}.JPEG" for number in (label + 1, label + 101)]
        for label, wnid in enumerate(WNIDS)
    }
    return Made("imagenet", "images", images, others={"classnames.txt": CLASSNAMES})


def _variant(folder: str, image_folder: str, folders, file: str, count: int) -> Made:
    images = {label: [f"{each}/{file.format(number)}" for number in range(count)] for label, each in enumerate(folders)}
    return Made(folder, image_folder, images, others={"classnames.txt": CLASSNAMES})


def _imagenet_v2() -> Made:
    folder = "imagenetv2-matched-frequency-format-val"
    return _variant("imagenetv2", folder, range(len(WNIDS)), "0{}a.jpeg", 3)


def _imagenet_sketch() -> Made:
    return _variant("imagenet-sketch", "images", WNIDS, "sketch_{}.JPEG", 2)


def _imagenet_a() -> Made:
    made = _variant("imagenet-adversarial", "imagenet-a", KEPT["imagenet-a"], "0.00{}_eel _ eel_0.7.jpg", 4)
    made.others["imagenet-a/README.txt"] = b"read me\n"
    return made


def _imagenet_r() -> Made:
    made = _variant("imagenet-rendition", "imagenet-r", KEPT["imagenet-r"], "art_{}.jpg", 4)
    made.others["imagenet-r/README.txt"] = b"read me\n"
    return made


_MAKERS = {
    "imagenet": _imagenet,
    "caltech101": _caltech101,
    "oxford-pets": _oxford_pets,
    "stanford-cars": _stanford_cars,
    "oxford-flowers": _oxford_flowers,
    "food101": _food101,
    "fgvc-aircraft": _fgvc_aircraft,
    "sun397": _sun397,
    "dtd": _dtd,
    "eurosat": _eurosat,
    "ucf101": _ucf101,
    "imagenet-v2": _imagenet_v2,
    "imagenet-sketch": _imagenet_sketch,
    "imagenet-a": _imagenet_a,
    "imagenet-r": _imagenet_r,
}
NAMES = tuple(_MAKERS)
