"""Two tiny CLIPs with random weights in open_clip's own folder format, a toy data set, and a checkout to run in.

What imports torch is imported inside the fixtures: the process that only hands out tests starts ten seconds earlier.
"""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from fixtures.checkout import World

    from benchmark.backbones.clip import Backbone
    from benchmark.data.batch import ClassList
    from benchmark.data.dataset import Examples

os.environ["HF_HUB_OFFLINE"] = "1"  # read when huggingface_hub is imported
os.environ["OMP_NUM_THREADS"] = "1"  # read when torch is imported; tests run in two processes

LONGEST = (
    "test_analyses",
    "test_run",
    "test_isolation",
    "test_page",
    "test_contract",
    "test_archive",
    "test_known_outcomes",
    "test_verify",
    "test_damaged_folders",
    "test_browser",
    "test_web",
)
"""Files that take longest."""
ANALYSES = "tests/analysis/"


def pytest_collection_modifyitems(items):
    """Take the longest files first, so that the two processes end at about the same time."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(LONGEST)))


def pytest_collection_finish():
    """What is imported by now stays: the garbage collector need not look at it each time, which takes it a second."""
    gc.collect()
    gc.freeze()


def pytest_xdist_make_scheduler(config, log):
    """A file is tested in one process, and all analyses are, whose tests share one household."""
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return ANALYSES if nodeid.startswith(ANALYSES) else super()._split_scope(nodeid)

    return ByFile(config, log)


@pytest.fixture(scope="session")
def backbone_folders(tmp_path_factory) -> dict[str, Path]:
    """``local-dir`` folders by name, see ``benchmark.training.checks.tiny_clips``."""
    from benchmark.training.checks.tiny_clips import CONFIGS, SCALES, write

    root = tmp_path_factory.mktemp("backbones")
    return {
        name: write(root / name, cfg, seed=number, scale=SCALES[name])
        for number, (name, cfg) in enumerate(CONFIGS.items(), start=1)
    }


@pytest.fixture(scope="session")
def load_backbone(backbone_folders):
    """Load a tiny backbone again, for tests that change one."""
    from benchmark.backbones.clip import Backbone
    from benchmark.config.schema import BackboneSpec

    def load(name: str) -> Backbone:
        return Backbone.load(name, BackboneSpec(model=f"local-dir:{backbone_folders[name]}"))

    return load


@pytest.fixture(scope="session")
def backbones(load_backbone) -> dict[str, Backbone]:
    """The tiny backbones, loaded once; a test that changes one is a bug."""
    from benchmark.training.checks.tiny_clips import CONFIGS

    return {name: load_backbone(name) for name in CONFIGS}


@pytest.fixture(params=["native", "eva"])
def backbone(request, backbones) -> Backbone:
    """Each of the two layouts in turn."""
    return backbones[request.param]


# --- pictures ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def classes() -> ClassList:
    """Four classes; one name has an underscore."""
    from benchmark.data.batch import ClassList
    from benchmark.training.checks.tiny_clips import CLASSES

    return ClassList(CLASSES, "a photo of a {}.", "a photo of a")


@pytest.fixture(scope="session")
def examples() -> Examples:
    """Twelve pictures, three per class."""
    from benchmark.data.dataset import ArrayImages, Examples
    from benchmark.training.checks.tiny_clips import pictures

    labels = tuple(label for label in range(4) for _ in range(3))
    return Examples(ArrayImages(pictures(labels, seed=1)), labels)


@pytest.fixture(scope="session")
def bench():
    """Everything that a method's contract is checked with."""
    from benchmark.training.checks.contract import Bench

    with Bench.make() as made:
        yield made


# --- a checkout to run in ------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def world(tmp_path_factory, backbone_folders) -> World:
    """A checkout that tests may run in but must leave as it is (each with an ``--out`` of its own)."""
    from fixtures.checkout import make_world

    return make_world(tmp_path_factory.mktemp("world"), backbone_folders)


@pytest.fixture
def own_world(tmp_path, backbone_folders) -> World:
    """A checkout for one test to change."""
    from fixtures.checkout import make_world

    return make_world(tmp_path / "world", backbone_folders)


@pytest.fixture
def cli(world):
    """Run the command line inside this process, with the toy data sets."""
    return world.call
