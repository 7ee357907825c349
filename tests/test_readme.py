"""What the README shows works as it stands there."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import torch
import yaml

from benchmark.config.loader import load
from benchmark.config.schema import RunSpec
from benchmark.config.validation import check
from benchmark.data.dataset import Augmentation
from benchmark.data.features import FeatureStore
from benchmark.method import registry
from benchmark.training.loop import train

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_method_shown_is_complete_and_learns(tmp_path, backbone, classes, examples):
    shown = next(block for block in blocks("python") if "(Method)" in block)
    (tmp_path / "feature_scale.py").write_text(shown, encoding="utf-8")
    plugins = registry.methods(tmp_path)
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


def test_the_embedded_default_is_valid_and_complete():
    spec = load(ROOT / "pairs.yaml")
    assert len(spec.pairs()) >= 4
    assert spec.warning
    for backbone in spec.backbones.values():
        folder = Path(backbone.model.removeprefix("local-dir:"))
        assert {"open_clip_config.json", "open_clip_model.safetensors", "MODEL_CARD.md"} <= {
            f.name for f in folder.iterdir()
        }


def test_the_releases_are_small_enough():
    files = (ROOT / "benchmark" / "pico" / "releases").rglob("*")
    assert sum(file.stat().st_size for file in files if file.is_file()) < 25 * 2**20


def test_the_commands_shown_name_real_options(capsys):
    from benchmark.cli import eval_module
    from benchmark.cli.main import parser

    eval_module.arguments(command := argparse.ArgumentParser())
    known = {option for each in (parser(), command) for action in each._actions for option in action.option_strings}
    used = {word for block in blocks("bash") for word in re.findall(r"(?<= )--[a-z-]+", block) if "run_benchmark" in block}
    assert used <= known
