"""``init``: a commented YAML to start from."""

from __future__ import annotations

import pytest
from fixtures.checkout import ROOT
from fixtures.command import run

from benchmark.cli.init import templates
from benchmark.config import loader


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """An empty folder as the current one."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", sorted(templates()))
def test_every_template_can_be_loaded_where_it_is_written(name, tmp_path):
    done = run("init", "sub/my.yaml", f"--template={name}")
    assert done.status == 0, done.err
    assert "clip-compat --upgrade-pairs sub/my.yaml --dry-run" in done.err
    shipped = ROOT / "pairs.yaml" if name == "default" else ROOT / "pairs" / f"{name}.yaml"
    assert (tmp_path / "sub" / "my.yaml").read_bytes() == shipped.read_bytes()
    assert loader.load(tmp_path / "sub" / "my.yaml").pairs() == loader.load(shipped).pairs()


def test_without_a_name_it_is_the_file_that_a_run_reads(tmp_path):
    assert run("init").status == 0
    assert loader.find(None).resolve() == tmp_path / "pairs.yaml"


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "pairs.yaml").write_text("mine")
    done = run("init")
    assert done.status == 2
    assert done.err == "error: pairs.yaml exists (fix: choose another name, or remove it)\n"
    assert (tmp_path / "pairs.yaml").read_text() == "mine"


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    done = run("init", "file/pairs.yaml")
    assert done.status == 2
    assert "file/pairs.yaml cannot be written" in done.err


def test_an_unknown_template_has_a_suggestion(tmp_path):
    done = run("init", "--template=papr")
    assert done.status == 2
    assert done.err == "error: unknown template 'papr' (fix: did you mean 'paper'?)\n"
    assert list(tmp_path.iterdir()) == []


def test_a_release_that_does_not_exist_is_one_line(tmp_path):
    run("init")
    text = (tmp_path / "pairs.yaml").read_text()
    (tmp_path / "pairs.yaml").write_text(text.replace("bundled:v1", "bundled:v9"))
    done = run("--dry-run", "--device=cpu", f"--out={tmp_path}/o")
    assert done.status == 2
    assert done.err.count("\n") == 1
    assert "no open_clip_config.json in" in done.err
    assert "bundled:" in done.err
