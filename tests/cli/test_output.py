"""Where a report can go, and terminals that take little."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("command", [[], ["report", "results"]])
@pytest.mark.parametrize("name", ["x", "x.md", "x.pdf"])
def test_a_report_is_an_html_page(cli, command, name, tmp_path):
    """Found before the work: its Markdown would take the place of x.md."""
    done = cli(*command, f"--report={tmp_path}/{name}")
    assert done.status == 2
    assert f"write {tmp_path}/{name}.html" in done.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [["--methods=zero-shot"], ["report", "results"]])
def test_a_file_in_the_place_of_its_folder_is_found_before_the_work(cli, command, tmp_path):
    (tmp_path / "x").write_text("")
    done = cli(*command, f"--report={tmp_path}/x.html", *([] if "report" in command else [f"--out={tmp_path}/out"]))
    assert done.status == 2
    assert "is a file" in done.err
    assert not (tmp_path / "out" / "cells").exists()


def listed(world, env: dict[str, str], stdout) -> subprocess.CompletedProcess:
    command = [sys.executable, "run_benchmark.py", "methods"]
    return subprocess.run(command, cwd=world.root, env=world.env | env, stdout=stdout, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_a_full_disk_under_standard_output_is_one_line(world):
    with Path("/dev/full").open("w") as full:
        done = listed(world, {}, full)
    assert done.returncode == 2
    assert done.stderr == "error: cannot write: No space left on device (fix: free some disk space)\n"


@pytest.mark.slow
def test_a_reader_that_stops_is_no_error(world):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        done = listed(world, {}, pipe)
    assert done.stderr == ""


@pytest.mark.slow
def test_a_terminal_without_the_letters(own_world):
    """Names with ü on one that knows ASCII only."""
    pairs = own_world.root / "pairs.yaml"
    pairs.write_text(re.sub(r"\bnative(?=[:,])", "näh", pairs.read_text()), encoding="utf-8")
    command = own_world.command("--dry-run", "--methods=zero-shot", "--datasets=toy", "--device=cpu")
    env = own_world.env | {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    done = subprocess.run(command, cwd=own_world.root, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "n?h" in done.stdout


HOMELESS = """
import os, pwd, sys
def nobody(_): raise KeyError("no such user")
pwd.getpwuid = pwd.getpwnam = nobody
os.environ.pop("HOME", None)
from benchmark.cli.main import main
sys.exit(main())
"""


@pytest.mark.slow
def test_a_user_without_a_home(own_world, tmp_path):
    """As in a container with ``--user 12345``: no HOME and no entry in the list of users."""
    options = ["--methods=zero-shot", "--datasets=toy", "--device=cpu", f"--out={tmp_path}/results", "--no-report"]
    env = {name: value for name, value in own_world.env.items() if name != "CLIP_COMPAT_CACHE"}

    def run(*given: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-c", HOMELESS, *options, *given]
        return subprocess.run(command, cwd=own_world.root, env=env, capture_output=True, text=True)

    done = run()
    assert done.returncode == 0, done.stderr
    assert not (own_world.root / "~").exists()
    done = run("--data-root=~/x")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1, done.stderr
