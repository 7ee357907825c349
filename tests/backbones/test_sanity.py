"""Backbones that cannot be what they claim to be are found before anything is trained on them."""

from __future__ import annotations

import math
import shutil

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from benchmark.backbones import sanity
from benchmark.backbones.clip import digest
from benchmark.config.errors import UserError
from benchmark.training.checks.tiny_clips import CONFIGS


@pytest.mark.parametrize("name", CONFIGS)
def test_a_sound_backbone_passes_and_stays_as_it_is(name, backbones):
    before = digest(backbones[name].model)
    state = torch.random.get_rng_state()
    assert sanity.check(backbones[name]) == []
    assert digest(backbones[name].model) == before == backbones[name].digest
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not backbones[name].model.training


def spoil(parameter: str, value: float):
    """Put a value into one place of a parameter."""

    def change(model) -> None:
        model.state_dict()[parameter].view(-1)[3] = value

    return change


def flatten(*parameters: str):
    """Multiply parameters by zero."""

    def change(model) -> None:
        for name in parameters:
            model.state_dict()[name].zero_()

    return change


BROKEN = {
    "text NaN": ("native", spoil("text_projection", math.nan), "text features are not finite"),
    "text infinite": ("eva", spoil("text.ln_final.bias", math.inf), "text features are not finite"),
    "image NaN": ("native", spoil("visual.conv1.weight", math.nan), "image features are not finite"),
    "image infinite": ("eva", spoil("visual.trunk.pos_embed", math.inf), "image features are not finite"),
    "text zero": ("native", flatten("text_projection"), "text features are the same for everything"),
    "text constant": ("eva", flatten("text.ln_final.weight"), "text features are the same for everything"),
    "image zero": ("native", flatten("visual.proj"), "image features are the same for everything"),
    "image constant": ("native", flatten("visual.ln_post.weight"), "image features are the same for everything"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_backbone_is_refused(case, load_backbone):
    name, change, words = BROKEN[case]
    backbone = load_backbone(name)
    with torch.no_grad():
        change(backbone.model)
    with pytest.raises(UserError) as caught:
        sanity.check(backbone)
    assert str(caught.value).startswith(f"backbone '{name}': its {words} (fix: ")


@pytest.mark.parametrize(("scale", "odd"), [(1.0, True), (4.9, True), (14.3, False), (100.0, False), (1e4, True)])
def test_an_odd_scale_is_a_warning(scale, odd, load_backbone):
    backbone = load_backbone("native")
    with torch.no_grad():
        backbone.model.logit_scale.fill_(math.log(scale))
    found = sanity.check(backbone)
    assert len(found) == odd
    assert all(f"backbone 'native': its logit scale is {scale:.1f}" in warning for warning in found)


@pytest.fixture
def with_weights(cli, tmp_path, backbone_folders):
    """Dry-run on a copy of a tiny backbone with some values changed."""

    def run(**changes: float):
        folder = shutil.copytree(backbone_folders["native"], tmp_path / "weights")
        state = load_file(folder / "open_clip_model.safetensors")
        for name, value in changes.items():
            state[name].fill_(value)
        save_file(state, folder / "open_clip_model.safetensors")
        content = {"backbones": {"b": {"model": f"local-dir:{folder}"}}, "upgrades": [{"old": "b", "new": "b"}]}
        (tmp_path / "pairs.yaml").write_text(yaml.safe_dump(content | {"datasets": ["toy"]}))
        return cli("--dry-run", f"--upgrade-pairs={tmp_path}/pairs.yaml", f"--out={tmp_path}/o", "--device=cpu")

    return run


def test_the_command_line_refuses_it_in_one_line(with_weights):
    done = with_weights(positional_embedding=math.nan)
    assert done.status == 2
    assert done.err.strip().startswith("error: backbone 'b': its text features are not finite")
    assert len(done.err.strip().splitlines()) == 1


def test_the_command_line_warns_and_goes_on(with_weights):
    done = with_weights(logit_scale=0.0)
    assert done.status == 0, done.err
    assert "warning: backbone 'b': its logit scale is 1.0" in done.err
    assert "b \N{RIGHTWARDS ARROW} b" in done.out
