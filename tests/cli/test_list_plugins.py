"""``--list`` shows what there is, and does not wait for what only the main job needs."""

from __future__ import annotations

import subprocess
import sys

from fixtures.checkout import ROOT


def test_methods_data_sets_and_what_is_broken(cli, world, tmp_path):
    (tmp_path / "methods").mkdir()
    (tmp_path / "methods" / "bad.py").write_text("raise RuntimeError('no')\n")
    done = cli("--list", f"--plugins={tmp_path}")
    assert done.status == 0
    assert "toy-noisy" in done.out
    assert "clip-adapter" in done.out
    assert "'bad' is broken and left out" in done.err


def test_it_imports_neither_open_clip_nor_torchvision_nor_pandas():
    code = (
        "import sys; from benchmark.cli.main import main; main(['--list']); "
        "sys.exit(bool({'open_clip', 'torchvision', 'pandas', 'sklearn', 'matplotlib', 'scipy'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
