"""The wheel: installed into an empty environment, the command works in an empty folder."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from fixtures.checkout import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (file,) = folder.glob("*.whl")
    return file


@pytest.mark.slow
def test_what_is_in_it(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for name in ("methods/coop.py", "datasets/digits.py", "pairs/paper.yaml", "pairs.yaml"):
        assert f"benchmark/bundled/{name}" in names
    for name in ("py.typed", "results/published.yaml", "report/templates/page.html.j2", "report/assets/style.css"):
        assert f"benchmark/{name}" in names
    assert "benchmark/backbones/releases/v1/open_clip_model.safetensors" in names
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"benchmark"}


@pytest.mark.slow
def test_it_runs_in_an_empty_environment_and_folder(wheel, tmp_path):
    """Everything is installed from the package index: this takes minutes and several gigabytes."""
    environment, folder = tmp_path / "venv", tmp_path / "empty"
    folder.mkdir()
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    scripts = environment / ("Scripts" if sys.platform == "win32" else "bin")
    subprocess.run([str(scripts / "python"), "-m", "pip", "install", "--quiet", str(wheel)], check=True)

    def run(*args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([str(scripts / "clip-compat"), *args], cwd=folder, capture_output=True, text=True, check=False)

    done = run("--methods", "coop", "--seeds", "1", "--datasets", "digits")
    assert done.returncode == 0, done.stderr
    assert (folder / "results" / "results.csv").stat().st_size > 1000
    assert (folder / "reports" / "compat.html").stat().st_size > 10_000
    assert run("init").returncode == 0
    assert "coop" in run("methods").stdout
    assert run("new-method", "my-adapter").returncode == 0
    assert (folder / "methods" / "my_adapter.py").is_file()
    listed = run("--list", "--plugins", ".")
    assert "my-adapter" in listed.stdout
