"""Checkpoints that are refused: pickles that would execute something, damaged files, and files of no method."""

from __future__ import annotations

import math
import os
import pickle
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fixtures.checkout import ROOT
from fixtures.official_checkpoints import METHODS, dassl, refusal, save
from safetensors.torch import save_file
from torch import nn

from benchmark.config.errors import UserError
from benchmark.method import registry
from benchmark.method.checkpoints import read_module

# --- pickles -----------------------------------------------------------------------------------------------------------


def trained_checkpoint():
    """A checkpoint with the live objects that Dassl's warm-up scheduler drags in, and with numbers of numpy's."""
    weight = nn.Parameter(torch.ones(4, 32))
    optimizer = torch.optim.SGD([weight], lr=0.1, momentum=0.9)
    successor = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
    weight.sum().backward()
    optimizer.step()
    scheduler = {"successor": successor, "warmup_epoch": 1, "last_epoch": 5, "base_lrs": [0.1], "cons_lr": 1e-5}
    results = {"scheduler": scheduler, "optimizer": optimizer.state_dict(), "val_result": np.float64(81.5)}
    return dassl({"ctx": weight.detach()}, **results)


@pytest.mark.parametrize("zipped", [True, False])
def test_optimisers_and_numbers_of_numpy_do_not_matter(zipped, tmp_path):
    content = trained_checkpoint()
    file = save(content, tmp_path / "model.pth.tar-5", _use_new_zipfile_serialization=zipped)
    with pytest.raises(pickle.UnpicklingError):  # as it is, torch refuses such a file
        torch.load(file, weights_only=True)
    files = [file]
    if not zipped:  # numpy 1 had another name for it
        old = file.read_bytes().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
        assert old != file.read_bytes()
        files.append(tmp_path / "model.pth.tar-6")
        files[-1].write_bytes(old)
    for each in files:
        assert torch.equal(read_module(each, METHODS).tensors["context"], content["state_dict"]["ctx"])
    with pytest.raises(pickle.UnpicklingError):  # what was allowed was allowed for that one reading
        torch.load(file, weights_only=True)


class Payload:
    """Pickles to a call."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("how", ["zip", "legacy", "plain"])
@pytest.mark.parametrize("place", ["epoch", "scheduler", "state_dict"])
@pytest.mark.parametrize("function", [os.mkdir, exec])
def test_a_malicious_pickle_is_refused_and_not_executed(function, place, how, tmp_path):
    marker, file = tmp_path / "marker", tmp_path / "model.pth.tar-5"
    argument = str(marker) if function is os.mkdir else f"__import__('os').mkdir({str(marker)!r})"
    content = trained_checkpoint()
    if place == "epoch":
        content["epoch"] = Payload(function, argument)
    else:
        content[place]["extra"] = Payload(function, argument)
    if how == "plain":
        file.write_bytes(pickle.dumps({"epoch": Payload(function, argument)}, protocol=2))
    else:
        torch.save(content, file, _use_new_zipfile_serialization=how == "zip")
    line = refusal(file)
    assert not marker.exists()
    assert "refused, because it would call " in line
    assert function.__name__ in line
    if how != "plain":  # the payload works
        torch.load(file, weights_only=False)
        assert marker.is_dir()


@pytest.mark.slow
def test_the_advice_for_a_refused_file_works(tmp_path):
    (tmp_path / "it's here").mkdir()
    file = save(dassl({"ctx": torch.ones(4, 32)}, cfg=SimpleNamespace(seed=1)), tmp_path / "it's here" / "model.pth.tar-5")
    line = refusal(file)
    assert "SimpleNamespace" in line
    command = line.split("tensors alone with python")[1].split(" and give ")[0]
    subprocess.run(f"{sys.executable} {command}", shell=True, check=True, cwd=ROOT)
    assert torch.equal(
        read_module(file.with_name("model.pth.tar-5.tensors.pt"), METHODS).tensors["context"], torch.ones(4, 32)
    )


# --- files that are none -----------------------------------------------------------------------------------------------


def test_missing_files_and_folders(tmp_path):
    assert "no such file" in refusal(tmp_path / "model.pth.tar-5")
    (tmp_path / "prompt_learner").mkdir()
    assert "is a folder" in refusal(tmp_path / "prompt_learner")


@pytest.mark.parametrize("name", ["model.pth.tar-5", "module.safetensors"])
def test_damaged_files(name, tmp_path):
    file = tmp_path / name
    if name.endswith("safetensors"):
        save_file({"ctx": torch.zeros(4, 32)}, file)
    else:
        torch.save(dassl({"ctx": torch.zeros(4, 32)}), file)
    whole = file.read_bytes()
    for content in (b"", b"hello, world", whole[: len(whole) // 2], whole[:-1], b"\x80\x02."):
        file.write_bytes(content)
        assert "is damaged or not a checkpoint" in refusal(file)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (torch.zeros(3), "is not a checkpoint of any method (it holds a tensor alone)"),
        ([1, 2], "holds a list"),
        ({}, "it holds nothing"),
        ({"model": 1, "epoch": 2}, "it holds 'epoch', 'model'"),
        ({"state_dict": 3}, "is not a checkpoint of any method"),
        ({"state_dict": {"visual.proj": torch.zeros(2, 2)}}, "coop"),
        ({"state_dict": {"ctx": torch.zeros(4, 32), "prompts.0": torch.zeros(4, 32)}}, "is not a checkpoint of any method"),
        ({"weights": {}, "metadata": {}}, "is not a checkpoint of any method"),
        ({"state_dict": {"ctx": torch.tensor([[1.0, math.nan]])}}, "context has values that are not finite"),
    ],
)
def test_contents_that_are_no_module(content, words, tmp_path):
    assert words in refusal(save(content, tmp_path / "file.pt"))


@pytest.mark.parametrize("name", sorted(METHODS.plugins))
def test_no_method_takes_what_is_not_its_own(name):
    for content in ({}, {"state_dict": {}}, {"state_dict": None}, {"weights": [], "metadata": None}, {"x": torch.zeros(1)}):
        assert METHODS[name].cls.from_official(content) is None


def test_a_file_that_two_methods_would_take(tmp_path):
    text = (ROOT / "methods" / "coop.py").read_text()
    for name in ("one", "two"):
        (tmp_path / f"{name}.py").write_text(text.replace('name="coop', f'name="{name}'))
    methods = registry.methods_in(tmp_path)
    file = save(dassl({"ctx": torch.zeros(4, 32)}), tmp_path / "model.pth.tar-5")
    assert "may be a module of one or two" in refusal(file, methods=methods)
    assert read_module(file, methods, "two").method == "two"
    with pytest.raises(UserError, match="unknown method 'three'"):
        read_module(file, methods, "three")


def test_a_method_that_fails_at_a_file_costs_itself_only(tmp_path):
    text = (ROOT / "methods" / "coop.py").read_text()
    (tmp_path / "one.py").write_text(text)
    text = text.replace('name="coop', 'name="two')
    text = text.replace("state = official_state(content)", "return content['no']")
    (tmp_path / "two.py").write_text(text)
    file = save(dassl({"ctx": torch.zeros(4, 32)}), tmp_path / "model.pth.tar-5")
    assert read_module(file, registry.methods_in(tmp_path)).method == "coop"
    assert "two: KeyError: 'no'" in refusal(file, methods=registry.methods_in(tmp_path), method="two")


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
@pytest.mark.parametrize("kind", ["sparse", "quantised"])
def test_tensors_that_are_not_plain(kind, tmp_path):
    plain = torch.zeros(4, 32)
    value = plain.to_sparse() if kind == "sparse" else torch.quantize_per_tensor(plain, 0.1, 0, torch.qint8)
    file = tmp_path / "prompt.pth"
    torch.save({"state_dict": {"ctx": value}}, file)
    assert f"is {kind}" in refusal(file)
