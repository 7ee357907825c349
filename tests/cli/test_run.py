"""A run that would only repeat the last one says what that said, and loads nothing for it."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest

from benchmark.cli import run
from benchmark.cli.unchanged import LastRun


@pytest.fixture
def options(monkeypatch, tmp_path):
    monkeypatch.setattr(LastRun, "closing", lambda self: "the end\n")
    return SimpleNamespace(dry_run=False, prepare=False, out=tmp_path, report=None, upgrade_pairs=None, given=[])


def test_it_says_again_what_was_said(options, capsys):
    assert run.run(options) == 0
    assert capsys.readouterr().out.startswith("the end\nnothing has changed")


@pytest.mark.parametrize("name", ["dry_run", "prepare"])
def test_a_plan_or_a_download_is_made_all_the_same(options, monkeypatch, name):
    from benchmark.cli import main_job

    monkeypatch.setattr(main_job, "run", lambda given, last: 7)
    setattr(options, name, True)
    assert run.run(options) == 7


def test_it_is_known_without_torch():
    program = "import sys, benchmark.cli.run; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], timeout=60).returncode == 0
