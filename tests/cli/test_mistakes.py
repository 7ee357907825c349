"""Every mistake in options, files and folders is told in one line with the place and the fix, and exits with 2."""

from __future__ import annotations

import re
import shutil

import pytest
import torch
import yaml


def one_line(done) -> str:
    """The one line of a mistake; fails if there is a traceback or anything else."""
    assert done.status == 2, done.err
    assert "Traceback" not in done.err + done.out
    lines = [line for line in done.err.splitlines() if line.strip() and not line.startswith("device:")]
    assert len(lines) == 1, done.err
    assert lines[0].startswith("error: ")
    return lines[0]


OPTIONS = {
    "unknown method": (["--methods=coopp"], "did you mean 'coop'"),
    "unknown data set": (["--datasets=toyy"], "did you mean 'toy'"),
    "glob without match": (["--methods=zz*"], "no method matches 'zz*'"),
    "no method at all": (["--methods=,"], "methods"),
    "unknown protocol": (["--protocols=nonsense"], "protocols"),
    "no shots": (["--shots=0"], "shots"),
    "duplicate seed": (["--seeds=1,1"], "given twice"),
    "shifted test set without its data set": (["--datasets=toy-noisy"], "no task is left"),
    "setting of nothing": (["--set=coop"], "METHOD.KEY=VALUE"),
    "setting without key": (["--set=coop=3"], "METHOD.KEY=VALUE"),
    "setting of unknown method": (["--set=coopp.lr=1"], "did you mean 'coop'"),
    "setting of unselected method": (["--methods=zero-shot", "--set=coop.lr=1"], "add it to --methods"),
    "setting of unknown key": (["--set=coop.n_ctxx=4"], "did you mean 'n_ctx'"),
    "setting with bad value": (["--set=coop.n_ctx=many"], "coop"),
    "setting out of range": (["--set=coop.lr=-1"], "lr"),
    "setting infinite": (["--set=coop.lr=.inf"], "lr"),
    "setting NaN": (["--set=coop.lr=.nan"], "lr"),
    "setting empty": (["--set=coop.lr="], "lr"),
    "setting not YAML": (["--set=coop.lr=[1"], "--set coop.lr=[1"),
    "setting impossible date": (["--set=coop.init_words=2001-99-99"], "--set"),
    "half precision on CPU": (["--precision=bf16", "--device=cpu"], "needs a GPU"),
    "no such device": (["--device=toaster"], "--device toaster"),
    "missing YAML": (["--upgrade-pairs=none.yaml"], "no such file"),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_a_wrong_option_is_one_line(case, cli, tmp_path):
    args, words = OPTIONS[case]
    assert words in one_line(cli("--dry-run", f"--out={tmp_path}/o", "--device=cpu", *args))
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    "args", [["--workers=-1"], ["--cell-timeout=-5"], ["--seeds=a"], ["--shots=x"], ["--seeds="], ["--what"]]
)
def test_a_malformed_option_exits_with_2(args, cli, tmp_path):
    done = cli("--dry-run", f"--out={tmp_path}/o", *args)
    assert done.status == 2
    assert "Traceback" not in done.err
    assert "error:" in done.err


def test_cuda_without_a_gpu(cli, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "no GPU" in one_line(cli("--dry-run", f"--out={tmp_path}/o", "--device=cuda"))


def test_out_that_cannot_be_written(cli, tmp_path):
    (tmp_path / "file").write_text("")
    line = one_line(
        cli(f"--out={tmp_path}/file/results", f"--report={tmp_path}/r.html", "--methods=zero-shot", "--device=cpu")
    )
    assert "cannot be written" in line
    assert "--out" in line


def test_report_that_cannot_be_written_is_told_before_the_work(cli, tmp_path):
    """Not as a traceback after hours of training."""
    (tmp_path / "file").write_text("")
    line = one_line(cli(f"--out={tmp_path}/o", f"--report={tmp_path}/file/r.html", "--methods=zero-shot", "--device=cpu"))
    assert "file/r.html" in line
    assert not list((tmp_path / "o").glob("cells/*/*/record.json"))


@pytest.fixture
def with_backbone(cli, tmp_path, backbone_folders):
    """Run a dry run on a copy of ``native`` that a test has changed."""
    folder = tmp_path / "weights"
    shutil.copytree(backbone_folders["native"], folder)
    file = tmp_path / "pairs.yaml"
    file.write_text("backbones: {b: {model: 'local-dir:weights'}}\nupgrades: [{old: b, new: b}]\nshots: 2\n")
    return folder, lambda: cli("--dry-run", f"--upgrade-pairs={file}", f"--out={tmp_path}/o", "--device=cpu")


def test_folder_as_it_should_be(with_backbone):
    done = with_backbone[1]()
    assert done.status == 0, done.err
    assert "b \N{RIGHTWARDS ARROW} b" in done.out


@pytest.mark.parametrize(
    ("file", "words"),
    [("open_clip_model.safetensors", "no weights in"), ("open_clip_config.json", "no open_clip_config.json in")],
)
def test_folder_without_a_part(with_backbone, file, words):
    folder, dry_run = with_backbone
    (folder / file).unlink()
    line = one_line(dry_run())
    assert "backbone 'b'" in line
    assert words in line


def test_folder_without_its_merges(with_backbone):
    folder, dry_run = with_backbone
    (folder / "merges.txt.gz").unlink()
    assert "merges.txt.gz" in one_line(dry_run())


@pytest.mark.parametrize("damage", ["cut", "garbage", "empty"])
def test_corrupt_weights(with_backbone, damage):
    folder, dry_run = with_backbone
    weights = folder / "open_clip_model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes({"cut": content[: len(content) // 2], "garbage": b"\x07" * 999, "empty": b""}[damage])
    assert "cannot be loaded" in one_line(dry_run())


def test_weights_of_another_shape(with_backbone, backbone_folders):
    folder, dry_run = with_backbone
    shutil.copy(backbone_folders["narrow"] / "open_clip_model.safetensors", folder)
    assert re.search(r"backbone 'b'.*cannot be loaded", one_line(dry_run()))


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"model_cfg": {}}', '{"model_cfg": 3}', "\x00"])
def test_broken_backbone_config(with_backbone, text):
    folder, dry_run = with_backbone
    (folder / "open_clip_config.json").write_text(text)
    assert "backbone 'b'" in one_line(dry_run())


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"model": "ViT-B-99", "pretrained": "random"}, "unknown model 'ViT-B-99'"),
        ({"model": "ViT-B-32", "pretrained": "opnai"}, "did you mean 'openai'"),
        ({"model": "local-dir:nowhere"}, "no open_clip_config.json"),
    ],
)
def test_unknown_models_and_tags(cli, tmp_path, keys, words):
    file = tmp_path / "pairs.yaml"
    file.write_text(yaml.safe_dump({"backbones": {"b": keys}, "upgrades": [{"old": "b", "new": "b"}]}))
    assert words in one_line(cli("--dry-run", f"--upgrade-pairs={file}", f"--out={tmp_path}/o", "--device=cpu"))


def test_the_real_command_has_no_traceback_either(world):
    """Once through a process of its own, as a user would see it."""
    done = world.run("--executor=process-pol", "--device=cpu")
    assert "invalid choice: 'process-pol'" in one_line(done)


def test_list_and_dry_run_compute_nothing(cli, tmp_path):
    listed = cli("--list")
    assert listed.status == 0
    assert "contcoop" in listed.out
    assert "toy-noisy" in listed.out
    some = "--methods=zero-shot,coop,cocoop,contcoop,clip-adapter,clip-lora"
    planned = cli("--dry-run", f"--out={tmp_path}/o", "--device=cpu", "--set=coop.n_ctx=2,4", some)
    assert planned.status == 0
    assert "n_ctx=2" in planned.out
    assert "n_ctx=4" in planned.out
    assert "native \N{RIGHTWARDS ARROW} eva" in planned.out
    assert "cells: 70, 0 done, 70 to do" in planned.out
    assert not (tmp_path / "o").exists()
