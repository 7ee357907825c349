"""Files of plugins that must not be imported are found without importing them in this process."""

from __future__ import annotations

import sys

from benchmark.config import paths
from benchmark.experiment import probe as probing
from benchmark.experiment.probe import probe
from benchmark.method import registry


def test_only_what_ends_or_hangs_is_found(tmp_path, monkeypatch):
    """What merely fails is left to the import, which says more; everything behind a bad file is still tried."""
    folder = tmp_path / "methods"
    folder.mkdir()
    files = {
        "a_good": "x = 1",
        "b_exits": "import os\nclass A:\n    os._exit(0)",
        "c_fails": "raise ValueError('no')",
        "d_hangs": "import time\ntime.sleep(99)",
        "e_quits": "raise SystemExit(0)",
        "f_dies": "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
    }
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    monkeypatch.setattr(paths, "plugin_folders", lambda kind, plugins: [folder] if kind == "methods" else [])
    monkeypatch.setattr(probing, "SECONDS", 2.0)
    before = set(sys.modules)
    found = probe(())
    assert {name: found.get(str(folder / f"{name}.py")) for name in files} == {
        "a_good": None,
        "b_exits": "it ended the process",
        "c_fails": None,
        "d_hangs": "it took longer than 2 s",
        "e_quits": None,
        "f_dies": "it ended the process",
    }
    assert not {name for name in set(sys.modules) - before if name.startswith("_clip_compat")}
    methods = registry.methods_in(folder, skipped=found)
    assert "it ended the process" in methods.broken["b-exits"]
    assert "ValueError: no" in methods.broken["c-fails"]
