"""Methods that do harm beside methods that do none: the harm ends with their own cells."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from fixtures.checkout import make_world

INNOCENT = ["zero-shot", "coop", "clip-adapter"]
BAD = '''
"""Does something that no method may do."""

import os, signal, sys
import torch
from torch import nn

from benchmark.backbones.clip import Backbone
from benchmark.method import Info, Method


class Bad(Method):
    """t_c + o."""

    info = Info(name="{name}", title="Bad", summary="harm", tunes=("features",), depth="deep", ours=True)
    presets = {{"small": {{"steps": 1, "lr": 0.05}}}}

    def build(self):
        self.offset = nn.Parameter(torch.zeros(self.backbone.embed_dim))
        self.step(self.backbone, "build")

    def class_features(self):
        return self.zero_shot_features + self.offset

    def loss(self, batch):
        self.step(self.backbone, "loss")
        return super().loss(batch)

    def logits(self, batch):
        if not self.training:
            self.step(self.backbone, "evaluation")
        return super().logits(batch)

    def step(self, backbone, when):
        {body}
'''
CHANGED, FINE = "it changed backbone", ""
CASES = {
    "weights-in-evaluation": ("if when == 'evaluation': backbone.model.logit_scale.data.add_(1)", "it changed the weights"),
    "weights-in-build-elsewhere": (
        "if when == 'build' and backbone.name == 'eva': next(backbone.model.parameters()).data.mul_(2)",
        "it changed the weights",
    ),
    "encode-image": ("backbone.encode_image = lambda pixels: torch.zeros(len(pixels), backbone.embed_dim)", CHANGED),
    "hook": ("backbone.model.visual.register_forward_hook(lambda m, i, o: o * 0 + 1)", CHANGED),
    "attribute": ("backbone.model.visual.spare = 1", CHANGED),
    "all-backbones": ("Backbone.encode_texts = lambda self, texts: torch.zeros(len(texts), self.embed_dim)", "it replaced"),
    "gradients": ("torch.set_grad_enabled(when != 'evaluation')", FINE),
    "type": ("if when == 'evaluation': torch.set_default_dtype(torch.float64)", None),
    "autocast": ("if when == 'evaluation': torch.set_autocast_enabled('cpu', True)", FINE),
    "device": ("if when == 'evaluation': torch.set_default_device('meta')", None),
    "folder": ("os.chdir('/')", FINE),
    "recursion": ("if when == 'evaluation': sys.setrecursionlimit(90)", None),
    "alarm": ("signal.alarm(1)", None),
    "output": ("sys.stdout.close()", None),
    "fork": ("os.fork() if when == 'loss' else None", FINE),
    "exit": ("if when == 'loss': raise SystemExit(0)", "SystemExit was raised: 0"),
    "exit-in-evaluation": ("if when == 'evaluation': sys.exit('bye')", "SystemExit was raised: bye"),
    "interrupt": ("if when == 'loss': raise KeyboardInterrupt", "KeyboardInterrupt was raised"),
    "death": ("if when == 'loss': os._exit(0)", "the worker died with exit status 0"),
    "surrogate": ("raise ValueError('a \\ud800 b')", "ValueError: a ? b"),
    "megabyte": ("raise ValueError('x' * 10**6)", "ValueError: xxx"),
}
"""By name: what is done, and what the reason must say; FINE if the cells may be ok, None if either may be."""


def rows(folder, methods) -> pd.DataFrame:
    table = pd.read_csv(folder / "results.csv", keep_default_na=False)
    numbers = table[["value", "n"]].apply(pd.to_numeric, errors="coerce").astype(float)
    return table.assign(**numbers)[table.method.isin(methods)].reset_index(drop=True)


@pytest.fixture(scope="module")
def trouble(backbone_folders, tmp_path_factory):
    """A run of all bad methods and some innocent ones in one worker, and a run of the innocent ones by themselves."""
    place = tmp_path_factory.mktemp("isolation")
    world = make_world(place / "world", backbone_folders)
    options = ["--device=cpu", "--workers=1", "--protocols=base-to-new", "--no-report"]
    options += ["--set=coop.steps=2", "--set=clip-adapter.steps=2"]
    alone = world.call(f"--methods={','.join(INNOCENT)}", f"--out={place}/alone", *options)
    assert alone.status == 0, alone.err
    for name, (body, _) in CASES.items():
        text = BAD.format(name=f"bad-{name}", body=body)
        (world.root / "methods" / f"bad_{name.replace('-', '_')}.py").write_text(text)
    beside = world.call(f"--methods=bad-*,{','.join(INNOCENT)}", f"--out={place}/beside", *options)
    return place, beside


@pytest.mark.slow
def test_the_exit_status_tells_it(trouble):
    _, beside = trouble
    assert beside.status == 1
    assert "Traceback" not in beside.err


@pytest.mark.slow
def test_the_innocent_have_the_same_rows(trouble):
    place, _ = trouble
    expected = rows(place / "alone", INNOCENT)
    assert len(expected) > 50
    pd.testing.assert_frame_equal(rows(place / "beside", INNOCENT), expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_the_bad_are_named(name, trouble):
    place, _ = trouble
    words = CASES[name][1]
    found = rows(place / "beside", [f"bad-{name}"])
    assert len(found)
    if words == FINE:
        assert "ok" in set(found.status)
    elif words:
        assert found.reason.str.contains(words, regex=False).any()
        assert found.reason.str.len().max() < 700


@pytest.mark.slow
def test_features_of_a_changed_backbone_are_not_kept(trouble):
    """The caches of both runs hold the same."""
    place, _ = trouble
    alone, beside = (
        {file.name: file.read_bytes() for file in (place / name / "features").iterdir()} for name in ("alone", "beside")
    )
    assert alone
    assert all(beside[name] == content for name, content in alone.items())


@pytest.mark.slow
def test_every_record_can_be_read(trouble):
    place, _ = trouble
    for file in (place / "beside" / "cells").glob("*/*/record.json"):
        json.loads(file.read_text(encoding="utf-8"))


ENDS = {
    "exits": ("methods", "import os\nclass Bad:\n    os._exit(0)\n", "it ended the process"),
    "quits": ("methods", "raise SystemExit(0)\n", "SystemExit: 0"),
    "data-exits": ("datasets", "import os\nos._exit(0)\n", "it ended the process"),
}


def test_a_file_that_ends_the_process_is_named_and_left_out(own_world, tmp_path):
    """A run beside it is computed; a run that asks for it did nothing, and says so by its exit status."""
    for name, (kind, text, _) in ENDS.items():
        (own_world.root / kind / f"{name.replace('-', '_')}.py").write_text(text)
    options = ["--device=cpu", "--workers=1", "--protocols=base-to-new", "--no-report", f"--out={tmp_path}/out"]
    done = own_world.call(*options, "--datasets=toy", "--methods=zero-shot", probed=True)
    assert done.status == 0, done.err
    for name, (_, _, words) in ENDS.items():
        assert f"{name!r} is broken and left out" in done.err
        assert words in done.err
    for asked in ("--methods=exits,quits", "--datasets=data-exits"):
        done = own_world.call(*options, "--datasets=toy", asked, probed=True)
        assert done.status == 2
        name = asked.partition("=")[2].split(",")[0]
        assert ENDS[name][2] in done.err


LOADS = {
    "raises": ("raise ValueError('no disk')", "load() failed: ValueError: no disk"),
    "exits": ("raise SystemExit(0)", "SystemExit was raised"),
    "dies": ("import os; os._exit(0)", "load() failed: it ended the process"),
    "nothing": ("return None", "load() returned NoneType"),
    "label": ("return Splits(NAMES, train=examples([0, 1], 2, 1), test=examples([0, 1], 2, 2))", "has no training image"),
}


@pytest.mark.parametrize("name", LOADS)
def test_a_data_set_that_cannot_be_used_is_named(name, own_world, tmp_path):
    body, words = LOADS[name]
    text = (own_world.root / "datasets" / "toy.py").read_text()
    start = text.index("    def load(self):")
    (own_world.root / "datasets" / "toy.py").write_text(text[:start] + f"    def load(self):\n        {body}\n")
    options = ["--device=cpu", "--workers=1", "--protocols=base-to-new", "--datasets=toy", f"--out={tmp_path}/out"]
    options += ["--no-report", "--methods=zero-shot"]
    done = own_world.call(*options)
    assert done.status == 2
    assert "dataset 'toy'" in done.err
    assert words in done.err


def test_trials_for_an_estimate_cannot_harm_the_driver(own_world, tmp_path):
    """``--dry-run`` tries every method, in a process apart."""
    text = BAD.format(name="bad", body="os._exit(0)")
    (own_world.root / "methods" / "bad.py").write_text(text)
    options = ["--device=cpu", "--protocols=base-to-new", "--datasets=toy", f"--out={tmp_path}/out", "--dry-run"]
    done = own_world.call(*options, "--methods=bad,coop")
    assert done.status == 0, done.err
    assert "could not be tried: it ended the process" in done.out
    assert "coop" in done.out
