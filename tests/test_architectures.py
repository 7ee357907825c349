"""The table of docs/architectures.md, for the sizes that fit into memory everywhere."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from fixtures.checkout import ROOT

from benchmark.method.registry import methods

ROW = re.compile(r"^\| [^|]+\| (`[^|]+`) \| (\d+) \|", re.MULTILINE)
COUNTS = {
    name: int(row[2])
    for row in ROW.finditer((ROOT / "docs" / "architectures.md").read_text(encoding="utf-8"))
    for name in re.findall(r"`([^`]+)`", row[1])
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["EVA02-B-16", "MobileCLIP2-S0", "ViT-B-16", "ViT-B-16-SigLIP2"])
def test_as_many_methods_fit_as_the_docs_say(name):
    command = [sys.executable, str(ROOT / "benchmarks" / "architectures.py"), name]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = re.search(rf"\(`{re.escape(name)}`\): (\d+) of (\d+) fit", done.stdout)
    assert found, done.stdout
    learners = [plugin for plugin in methods().plugins.values() if not plugin.cls.info.baseline]
    assert (int(found[1]), int(found[2])) == (COUNTS[name], len(learners))
