"""Whole runs whose outcome is known beforehand: nothing changes, nothing can be known, or a module is made to be bad."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest
import yaml
from fixtures.checkout import ROOT
from fixtures.command import run
from fixtures.household import IDENTITY, NAMES, draw, patterned, write_yaml

from benchmark import report
from benchmark.config import paths
from benchmark.method import registry
from benchmark.results import summary
from benchmark.results.archive import read

NEGATED = '''"""Says the opposite of zero-shot CLIP."""

from benchmark.method import Info, Method


class Negated(Method):
    """The logits of zero-shot CLIP, negated."""

    info = Info(name="negated", title="Negated", summary="the opposite", tunes=("features",), depth="deep", ours=True)

    def logits(self, batch):
        return -super().logits(batch)
'''
FEW = ["--set=coop.steps=8", "--set=clip-adapter.steps=20"]


def headline(folder) -> dict[str, report.model.MethodRow]:
    """The headline rows of a finished run of one pair, by method."""
    done = read(folder)
    infos = {name: plugin.cls.info for name, plugin in registry.methods().plugins.items()}
    rows = report.headline(done.results, done.about.zero_shot, infos, report.covariances(done.uncertainty))
    return {row.method: row for row in rows}


@pytest.fixture(scope="module")
def identity(tmp_path_factory, backbone_folders):
    root = tmp_path_factory.mktemp("identity")
    data = patterned(root / "data", noise=40.0)
    file = write_yaml(root / "pairs.yaml", {"native": backbone_folders["native"]}, data, new=("native",))
    methods = ["--methods=zero-shot,coop,contcoop-offset,clip-adapter,clip-lora", *FEW, "--set=clip-lora.steps=4"]
    done = run(f"--upgrade-pairs={file}", f"--out={root / 'out'}", "--no-report", "--workers=0", "--device=cpu", *methods)
    assert done.status == 0, done.err
    return root / "out"


def test_an_identity_upgrade_changes_no_figure(identity):
    table = pd.read_csv(identity / "results.csv")
    assert set(table.pair) == {IDENTITY}
    wide = table[table.metric == "accuracy"].pivot_table(
        index=["method", "split", "seed"], columns="strategy", values="value"
    )
    assert (wide.old == wide.reuse).all()
    assert (wide.old == wide.retrain).all()
    assert (table[table.metric.str.endswith("flip")].value == 0).all()
    errors = table[table.metric == "ece"].pivot_table(index=["method", "split", "seed"], columns="strategy", values="value")
    assert (errors.old == errors.reuse).all()


def test_an_identity_upgrade_gains_nothing_and_is_retrained_to_the_same(identity):
    rows = headline(identity)
    for row in rows.values():
        assert (row.gain.mean, row.gain.low, row.gain.high) == (0, 0, 0)
        assert row.metric("negative_flip", "reuse") == row.metric("positive_flip", "reuse") == 0
        assert row.metric("ece", "old") == row.metric("ece", "reuse") > 0
    assert all(row.reuse.main == pytest.approx(row.retrain) for row in rows.values() if not row.baseline)


def test_what_equals_its_retraining_is_retained_whole():
    """As in an identity upgrade, here with a lift that is large enough for a ratio."""
    rows = []
    for seed, value in enumerate((60.0, 63.0, 58.5)):
        for method, figure in (("zero", 50.0), ("module", value)):
            for strategy in ("old", "reuse", "retrain"):
                row = dict.fromkeys(summary.COLUMNS, "") | {"pair": IDENTITY, "method": method, "dataset": "d", "seed": seed}
                row |= {"protocol": "base-to-new", "split": "H", "strategy": strategy, "metric": "accuracy"}
                rows.append(row | {"value": figure, "status": "ok"})
    table = summary.with_baseline(summary.wide(pd.DataFrame(rows)), "zero")
    (found,) = summary.summarise(table[table.method == "module"]).to_dict("records")
    assert (found["retained"], found["gain"]) == (pytest.approx(1), 0)
    assert (found["retained_low"], found["retained_high"]) == (pytest.approx(1), pytest.approx(1))


@pytest.mark.slow
def test_random_backbones_on_noise_are_at_chance(tmp_path, backbone_folders):
    rng = np.random.default_rng(0)
    parts = {"train": 4, "val": 2, "test": 30}
    data = draw(
        tmp_path / "data",
        {
            part: [(name, rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)) for name in NAMES for _ in range(count)]
            for part, count in parts.items()
        },
    )
    folders = {name: backbone_folders[name] for name in ("native", "eva")}
    file = write_yaml(tmp_path / "pairs.yaml", folders, data, new=("eva",), seeds=[1, 2, 3])
    done = run(f"--upgrade-pairs={file}", f"--out={tmp_path / 'out'}", "--no-report", "--workers=0",
               "--methods=zero-shot,coop,clip-adapter", "--device=cpu", *FEW)  # fmt: skip
    assert done.status == 0, done.err
    table = pd.read_csv(tmp_path / "out" / "results.csv")
    halves = table[(table.metric == "accuracy") & table.split.isin(["base", "new"])]
    error = 100 * np.sqrt(1 / 3 * 2 / 3 / 90)
    assert (halves.value - 100 / 3).abs().max() < 4 * error
    for row in headline(tmp_path / "out").values():
        assert row.baseline or row.lift.low <= 0 <= row.lift.high
        assert row.verdict in ("", "undecided", "no effect")


@pytest.mark.slow
def test_a_module_that_says_the_opposite_harms(tmp_path, monkeypatch):
    """On trained towers, whose zero-shot answers are worth something."""
    methods = tmp_path / "methods"
    methods.mkdir()
    shutil.copy(ROOT / "methods" / "zero_shot.py", methods)
    (methods / "negated.py").write_text(NEGATED, encoding="utf-8")
    bundled = paths.bundled
    monkeypatch.setattr(paths, "bundled", lambda name: methods if name == "methods" else bundled(name))
    content = yaml.safe_load((ROOT / "pairs.yaml").read_text(encoding="utf-8"))
    (tmp_path / "pairs.yaml").write_text(yaml.safe_dump(content | {"upgrades": [{"old": "v1", "new": "v2"}]}))
    done = run(f"--upgrade-pairs={tmp_path / 'pairs.yaml'}", f"--out={tmp_path / 'out'}", f"--report={tmp_path / 'r.html'}",
               "--workers=0", "--device=cpu", "--datasets=digits", "--protocols=base-to-new")  # fmt: skip
    assert done.status == 0, done.err
    assert "harms" in done.out
    rows = pd.read_csv(tmp_path / "out" / "results.csv")
    assert set(rows.method) == {"zero-shot", "negated"}
    text = (tmp_path / "r.md").read_text(encoding="utf-8")
    assert "| negated |" in text
    assert "v1 → v2: use no module." in text
