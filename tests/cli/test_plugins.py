"""Methods and data sets in folders of one's own: by ``--plugins`` and by ``plugins:`` in the YAML."""

from __future__ import annotations

import pandas as pd
import pytest
import yaml
from fixtures.checkout import TOY, TOY_SETS

METHOD = '''
"""Learns one offset for all class features."""

import torch
from torch import nn

from benchmark.method import Info, Method


class Shift(Method):
    """t_c' = t_c + o."""

    info = Info(name="{name}", title="Shift", summary="one offset", tunes=("features",), depth="deep", ours=True)
    presets = {{"small": {{"steps": 2, "lr": 0.05}}}}

    def build(self):
        self.offset = nn.Parameter(torch.zeros(self.backbone.embed_dim))

    def class_features(self):
        return self.zero_shot_features + self.offset
'''
FEW = ["--device=cpu", "--protocols=base-to-new", "--methods=zero-shot,shift", "--datasets=own-toy"]


@pytest.fixture
def plugins(tmp_path):
    """A folder with a method and a data set."""
    folder = tmp_path / "plugins"
    for kind in ("methods", "datasets"):
        (folder / kind).mkdir(parents=True)
    (folder / "methods" / "shift.py").write_text(METHOD.format(name="shift"))
    body = TOY_SETS["toy.py"].replace('name = "toy"', 'name = "own-toy"')
    (folder / "datasets" / "own_toy.py").write_text(TOY.strip() + "\n\n" + body)
    return folder


def check(done, out) -> None:
    assert done.status == 0, done.err
    table = pd.read_csv(out / "results.csv")
    assert set(table.dataset) == {"own-toy"}
    assert set(table.method) == {"zero-shot", "shift"}
    assert set(table[table.pair == "native->eva"].status) == {"ok"}


def test_the_option_adds_a_method_and_a_data_set(cli, plugins, tmp_path):
    out = tmp_path / "o"
    done = cli(*FEW, f"--plugins={plugins}", "--workers=0", f"--out={out}", "--no-report")
    check(done, out)


def test_the_yaml_adds_them_too_and_its_path_is_relative_to_it(world, plugins, tmp_path):
    """In worker processes, which look for plugins themselves."""
    out = tmp_path / "o"
    content = yaml.safe_load((world.root / "pairs.yaml").read_text()) | {"plugins": "plugins"}
    (tmp_path / "pairs.yaml").write_text(yaml.safe_dump(content))
    options = [f"--upgrade-pairs={tmp_path}/pairs.yaml", f"--out={out}", "--no-report", "--workers=1"]
    check(world.call(*FEW, *options), out)


def test_other_commands_know_them(cli, plugins):
    assert "own-toy" in cli("--list", f"--plugins={plugins}").out
    assert "shift" in cli("methods", f"--plugins={plugins}").out
    assert cli("check-method", "shift", f"--plugins={plugins}").out.endswith("all checks passed\n")


def test_a_folder_without_plugins_is_one_line(cli, tmp_path):
    done = cli("--list", f"--plugins={tmp_path}")
    assert done.status == 2
    assert done.err == (
        f"error: plugins: {tmp_path} has no folder methods/ or datasets/ "
        "(fix: put files into its subfolders methods/ or datasets/)\n"
    )


def test_a_taken_name_names_both_files(cli, plugins, world):
    (plugins / "methods" / "other.py").write_text(METHOD.format(name="coop"))
    done = cli("--list", f"--plugins={plugins}")
    assert done.status == 2
    assert done.err.count("\n") == 1
    assert str(world.root / "methods" / "coop.py") in done.err
    assert str(plugins / "methods" / "other.py") in done.err
