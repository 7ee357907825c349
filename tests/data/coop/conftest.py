"""Miniatures of all photo data sets, and a stand-in for torchvision's downloads."""

from __future__ import annotations

import importlib
import os
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from fixtures import miniature
from fixtures.photos import PLUGINS


@pytest.fixture(scope="session")
def with_splits(tmp_path_factory) -> Path:
    """A data root with all data sets and the split files; tests leave it as it is."""
    return miniature.build_all(tmp_path_factory.mktemp("splits"))


@pytest.fixture(scope="session")
def by_rule(tmp_path_factory) -> Path:
    """A data root without split files; tests leave it as it is."""
    return miniature.build_all(tmp_path_factory.mktemp("rules"), split_file=False)


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
