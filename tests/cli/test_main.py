"""From the command line to a command, and from its end to an exit status."""

from __future__ import annotations

import subprocess
import sys

import pytest
from fixtures.checkout import ROOT

from benchmark.cli import methods
from benchmark.cli.parser import COMMANDS
from benchmark.config.errors import UserError

HEAVY = ("torch", "pandas", "pydantic", "rich", "numpy", "open_clip", "scipy", "matplotlib")
CODE = f"""
import sys
from benchmark.cli.main import main
try:
    status = main(sys.argv[1:])
except SystemExit as stop:
    status = stop.code
loaded = sorted({set(HEAVY)!r} & sys.modules.keys())
assert not loaded, loaded
raise SystemExit(status)
"""


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_help_imports_nothing_heavy(command):
    given = [command, "--help"] if command else ["--help"]
    done = subprocess.run([sys.executable, "-c", CODE, *given], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: ")
    assert done.stderr == ""


def test_help_lists_the_commands_and_options(cli):
    text = cli("--help").out
    assert all(f"  {command} " in text for command in COMMANDS if command != "run")
    for option in ("--plugins DIR", "--executor", "--list"):
        assert option in text


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (UserError("it is [bold]wrong", fix="do it right"), 2, "error: it is [bold]wrong (fix: do it right)\n"),
        (KeyboardInterrupt(), 130, "run the same command again to resume\n"),
    ],
    ids=["mistake", "interrupt"],
)
def test_how_a_command_may_end(error, status, words, cli, monkeypatch):
    def run(options):
        raise error

    monkeypatch.setattr(methods, "run", run)
    done = cli("methods")
    assert done.status == status
    assert done.err.endswith(words)
    assert done.err.count("\n") == 1


def test_a_mistake_in_an_option_is_one_line(cli):
    done = cli("--wrkers=2")
    assert (done.status, done.out) == (2, "")
    assert done.err == (
        "error: clip-compat: unrecognized arguments: --wrkers=2 (fix: clip-compat --help lists the options)\n"
    )
