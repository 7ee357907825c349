"""Checkpoints from anywhere: what is in them, and what they are if nothing is."""

from __future__ import annotations

import argparse
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from fixtures.folders import refusal
from safetensors.torch import save_file

from benchmark.backbones.checkpoint_file import Refused, described, named_tensors, read_file

STATE = {"a.weight": torch.ones(2), "b.weight": torch.zeros(3)}


def save(content: object, file: Path) -> Path:
    torch.save(content, file)
    return file


CONTENTS = {
    "plain": STATE,
    "best": {"best": np.float64(0.7), "epoch": 3, "state_dict": STATE},
    "options": {"args": argparse.Namespace(lr=0.1), "model": STATE},
    "compiled": {"state_dict": {f"_orig_mod.{name}": value for name, value in STATE.items()}},
    "parallel": {"state_dict": {f"module.{name}": value for name, value in STATE.items()}, "optimizer": {"lr": 1}},
    "both": {"model": {"state_dict": {f"module._orig_mod.{name}": value for name, value in STATE.items()}}},
}


@pytest.mark.parametrize("name", CONTENTS)
def test_weights_are_found_in_their_wrappers(name, tmp_path):
    found = named_tensors(read_file(save(CONTENTS[name], tmp_path / "x.pt")))
    assert found.keys() == STATE.keys()
    assert all(torch.equal(found[key], value) for key, value in STATE.items())


def test_safetensors_are_known_by_their_content(tmp_path):
    save_file(STATE, tmp_path / "pytorch_model.bin")
    assert read_file(tmp_path / "pytorch_model.bin").keys() == STATE.keys()


@pytest.mark.parametrize("content", [{"epoch": 3}, {}, [1], {"best": torch.ones(1)}])
def test_what_holds_no_weights(content, tmp_path):
    assert named_tensors(content) is None


def test_the_names_of_tensors_are_told_and_not_those_of_the_wrapper():
    assert described({"epoch": 1, "optimizer": {}, "state_dict": STATE}) == "'a.weight', 'b.weight'"
    assert described({f"k{number}": 1 for number in range(9)}).endswith("and 4 more")


def test_an_archive_that_would_fill_the_memory_is_refused(tmp_path):
    """Two gigabytes of zeros in two megabytes."""
    file = save(STATE, tmp_path / "x.pt")
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/data/9", bytes(2**28))
    assert "torch does not write such files" in refusal(lambda: read_file(file))


def test_what_would_be_called_is_named(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.system, ("true",)

    with pytest.raises(Refused, match=r"(posix|nt)\.system"):
        read_file(save({"a": Evil()}, tmp_path / "x.pt"))


def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.pt")
    (tmp_path / "pointer.pt").write_text("version https://git-lfs.github.com/spec/v1\n")
    (tmp_path / "text.pt").write_text("hello")
    for path, words in (
        (tmp_path / "pipe.pt", "not a regular file"),
        (tmp_path, "is a folder"),
        (tmp_path / "absent.pt", "no such file"),
        (tmp_path / ("x" * 5000), "File name too long"),
        (tmp_path / "pointer.pt", "git lfs pull"),
        (tmp_path / "text.pt", "damaged or not a checkpoint"),
    ):
        assert words in refusal(lambda path=path: read_file(path))
