"""The command line's options: what they take, and what they refuse in one line."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from benchmark.cli.parser import COMMANDS, EXECUTORS, count, names, numbers, parse, positive
from benchmark.config.discovery import classes_in
from benchmark.config.errors import UserError
from benchmark.experiment import executors
from benchmark.experiment.executor import Executor


def test_no_command_means_run():
    assert parse([]).command == parse(["run"]).command == parse(["--seeds=1"]).command == "run"
    assert parse(["--seeds=2,1"]).seeds == parse(["run", "--seeds=2,1"]).seeds == (2, 1)


def test_an_unknown_command_has_a_suggestion():
    with pytest.raises(UserError) as caught:
        parse(["analyze"])
    assert str(caught.value) == "unknown command 'analyze' (fix: did you mean 'analyse'?)"


def test_plugins_may_be_repeated():
    assert parse(["--plugins=a", "--plugins", "b"]).plugins == [Path("a"), Path("b")]
    assert parse([]).plugins == []


def test_a_report_unless_it_is_left_out():
    assert parse([]).report == Path("reports/compat.html")
    assert parse(["--report=r.html"]).report == Path("r.html")
    assert parse(["--no-report"]).report is None
    with pytest.raises(UserError, match="not allowed with"):
        parse(["--no-report", "--report=r.html"])


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [(names, "a, b", ("a", "b")), (numbers, "3,-1", (3, -1)), (count, "0", 0), (count, "12", 12), (positive, "1e-3", 0.001)],
)
def test_good_values(kind, text, value):
    assert kind(text) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        *((names, text) for text in ("", ",", "a,", "a,,b")),
        *((numbers, text) for text in ("", "x", "1,", "1.5")),
        *((count, text) for text in ("-1", "1.0", "", "+1")),
        *((positive, text) for text in ("0", "-1", "nan", "inf", "x")),
    ],
)
def test_bad_values(kind, text):
    with pytest.raises(argparse.ArgumentTypeError):
        kind(text)


@pytest.mark.parametrize("option", ["--cell-timeout=-1", "--workers=-1", "--seeds=x", "--executor=cloud", "--precision=fp8"])
@pytest.mark.parametrize("command", [[], ["analyse", "drift"]], ids=["run", "analyse"])
def test_commands_that_compute_refuse_the_same_options(command, option):
    with pytest.raises(UserError) as caught:
        parse([*command, option])
    assert caught.value.exit_code == 2
    assert option.split("=")[0] in str(caught.value)
    assert "--help lists the options" in str(caught.value)


def test_every_executor_is_offered_by_its_name():
    assert set(EXECUTORS) == {cls.name for cls in classes_in(executors, Executor)}
    assert parse(["--executor=in-process"]).executor == "in-process"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_its_code(name):
    file = Path(parse.__code__.co_filename).with_name(f"{name.replace('-', '_')}.py")
    assert "\ndef run(options: argparse.Namespace) -> int:\n" in file.read_text(encoding="utf-8")
