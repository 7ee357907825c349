"""The notebook of the docs: its cells run, one after the other, and show what its text says."""

from __future__ import annotations

import json
from pathlib import Path

FILE = Path(__file__).parents[1] / "docs" / "first-look.ipynb"


def test_every_cell_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    cells = json.loads(FILE.read_text())["cells"]
    for cell in cells:
        if cell["cell_type"] == "code":
            assert not cell["outputs"], "outputs are not kept"
            exec("".join(cell["source"]), names)
    assert set(names["table"].columns) == {"old", "reuse", "retrain", "repair:both"}
    assert set(names["lift"].index) == {"coop", "clip-adapter"}
    assert names["answer"].verdict
    assert {"keep", "stay", "both"} <= set(names["answer"].table["name"])
