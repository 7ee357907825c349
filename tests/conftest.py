"""Two tiny CLIPs with random weights in open_clip's own folder format, a toy data set, and a checkout to run in."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub.constants
import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

os.environ["HF_HUB_OFFLINE"] = "1"
huggingface_hub.constants.HF_HUB_OFFLINE = True  # open_clip has imported it by now
torch.set_num_threads(1)

from benchmark import tiny  # noqa: E402
from benchmark.backbone import Backbone  # noqa: E402
from benchmark.config import BackboneSpec  # noqa: E402
from benchmark.dataset import ArrayImages, Examples  # noqa: E402
from benchmark.method import ClassList  # noqa: E402

LONGEST = ("test_runner", "test_paper", "test_analyse", "test_report_browser", "test_report", "test_rebuild", "test_icons")
"""Files that take longest."""


def pytest_collection_modifyitems(items):
    """Take the longest files first, so that the two processes end at about the same time."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.module.__name__, len(LONGEST)))


CONFIGS, SCALES, CLASSES = tiny.CONFIGS, tiny.SCALES, tiny.CLASSES
NATIVE_VISION, TEXT, WORDS = tiny.NATIVE, tiny.TEXT, tiny.WORDS
write_backbone, pictures = tiny.write, tiny.pictures


@pytest.fixture(scope="session")
def backbone_folders(tmp_path_factory) -> dict[str, Path]:
    """``local-dir`` folders by name, see ``benchmark.tiny``."""
    root = tmp_path_factory.mktemp("backbones")
    return {
        name: write_backbone(root / name, cfg, seed=number, scale=SCALES[name])
        for number, (name, cfg) in enumerate(CONFIGS.items(), start=1)
    }


@pytest.fixture(scope="session")
def load_backbone(backbone_folders):
    """Load a tiny backbone anew, for tests that change one."""

    def load(name: str) -> Backbone:
        return Backbone.load(name, BackboneSpec(model=f"local-dir:{backbone_folders[name]}"))

    return load


@pytest.fixture(scope="session")
def backbones(load_backbone) -> dict[str, Backbone]:
    """The tiny backbones, loaded once; a test that changes one is a bug."""
    return {name: load_backbone(name) for name in CONFIGS}


@pytest.fixture(params=["native", "eva"])
def backbone(request, backbones) -> Backbone:
    """Each of the two layouts in turn."""
    return backbones[request.param]


# --- pictures ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def classes() -> ClassList:
    """Four classes; one name has an underscore."""
    return ClassList(CLASSES, "a photo of a {}.", "a photo of a")


@pytest.fixture(scope="session")
def examples() -> Examples:
    """Twelve pictures, three a class."""
    labels = tuple(label for label in range(4) for _ in range(3))
    return Examples(ArrayImages(pictures(labels, seed=1)), labels)


# --- a checkout to run in ------------------------------------------------------------------------------------------

TOY = '''
"""A toy data set for tests: one coarse pattern a class, and noise."""

import numpy as np

from benchmark.dataset import ArrayImages, Augmentation, Dataset, Examples, Splits

NAMES = ("dog", "cat", "bird", "lorry", "house", "tree", "boat", "icon")


def pictures(labels, seed, noise):
    patterns = np.random.default_rng(0).integers(0, 256, (len(NAMES), 4, 4, 3))
    clean = patterns[list(labels)].repeat(8, 1).repeat(8, 2)
    return np.clip(clean + np.random.default_rng(seed).normal(0, noise, clean.shape), 0, 255).astype(np.uint8)


def examples(labels, count, seed, noise=60.0):
    rows = tuple(label for label in range(len(labels)) for _ in range(count))
    return Examples(ArrayImages(pictures([labels[row] for row in rows], seed, noise)), rows)

'''
TOY_SETS = {
    "toy.py": """
class Toy(Dataset):
    name = "toy"
    title = "Toy patterns"
    template = "a photo of a {}."
    licence = "CC0-1.0"
    source = "made by the test"
    shots = 2
    augmentation = Augmentation(crop=(0.7, 1.0), flip=False)

    def load(self):
        every = list(range(len(NAMES)))
        return Splits(NAMES, train=examples(every, 4, 1), val=examples(every, 2, 2), test=examples(every, 5, 3))
""",
    "toy_noisy.py": """
class ToyNoisy(Dataset):
    name = "toy-noisy"
    title = "Toy patterns, noisier"
    template = "an icon of a {}."
    licence = "CC0-1.0"
    source = "made by the test"
    variant_of = "toy"

    def load(self):
        kept = [0, 2, 3, 5, 6, 7]
        return Splits(tuple(NAMES[label] for label in kept), test=examples(kept, 5, 4, noise=120.0))
""",
}
PAIRS = """\
backbones:
  native: {{model: "local-dir:{native}", title: old}}
  eva: {{model: "local-dir:{eva}", title: new}}
  narrow: {{model: "local-dir:{narrow}"}}
upgrades:
  - {{old: native, new: [native, eva, narrow]}}
preset: small
shots: 2
seeds: [1]
"""


@dataclass
class World:
    """A checkout of its own: the engine and the methods as they are, toy data sets, pairs among the tiny backbones."""

    root: Path
    env: dict[str, str]

    def command(self, *args: str) -> list[str]:
        return [sys.executable, "run_benchmark.py", *args]

    def start(self, *args: str, **options) -> subprocess.Popen:
        """Start a run in the background."""
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(self.command(*args), cwd=self.root, env=self.env, **pipes, **options)

    def run(self, *args: str, timeout: float = 300) -> SimpleNamespace:
        """Run the command line to its end: status, out, err."""
        done = subprocess.run(
            self.command(*args), cwd=self.root, env=self.env, capture_output=True, text=True, timeout=timeout
        )
        return SimpleNamespace(status=done.returncode, out=done.stdout, err=done.stderr)


def make_world(root: Path, folders: dict[str, Path]) -> World:
    """Lay out a checkout under ``root``, with a few of the methods: one of every kind."""
    ignored = shutil.ignore_patterns("releases", "__pycache__")
    shutil.copytree(ROOT / "benchmark", root / "benchmark", ignore=ignored)
    (root / "methods").mkdir()
    for name in ("zero_shot", "coop", "cocoop", "contcoop", "clip_adapter", "clip_lora", "tip_adapter"):
        shutil.copy(ROOT / "methods" / f"{name}.py", root / "methods")
    shutil.copy(ROOT / "run_benchmark.py", root)
    (root / "datasets").mkdir()
    for name, body in TOY_SETS.items():
        (root / "datasets" / name).write_text(TOY.strip() + "\n\n" + body)
    (root / "pairs.yaml").write_text(PAIRS.format(**folders))
    env = os.environ | {"CLIP_COMPAT_CACHE": str(root / "cache"), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": ""}
    return World(root, env | {"COLUMNS": "200", "PYTHONPATH": ""})


@pytest.fixture(scope="session")
def world(tmp_path_factory, backbone_folders) -> World:
    """A checkout that tests may run in but must leave as it is (each with an ``--out`` of its own)."""
    return make_world(tmp_path_factory.mktemp("world"), backbone_folders)


@pytest.fixture
def own_world(tmp_path, backbone_folders) -> World:
    """A checkout for one test to change."""
    return make_world(tmp_path / "world", backbone_folders)


@pytest.fixture
def cli(world, monkeypatch, capsys):
    """Run the command line inside this process, with the toy data sets. What trains needs ``--workers=0``."""
    from benchmark import cli as command_line
    from benchmark import registry, work

    methods, datasets = registry.methods, registry.datasets

    def here(folder: Path) -> Path:
        return world.root / folder.name if folder.parent == ROOT else folder

    monkeypatch.setattr(registry, "methods", lambda folder=ROOT / "methods": methods(here(folder)))
    monkeypatch.setattr(registry, "datasets", lambda folder=ROOT / "datasets", own=None: datasets(here(folder), own))
    monkeypatch.setattr(work, "_LOADED", {})  # another run may have other data sets of these names
    monkeypatch.chdir(world.root)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*args: str) -> SimpleNamespace:
        try:
            status = command_line.main(list(args))
        except SystemExit as stop:  # argparse
            status = stop.code
        out, err = capsys.readouterr()
        return SimpleNamespace(status=status, out=out, err=err)

    return run
