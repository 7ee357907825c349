"""From options to what the engine takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.cli.execution import execution_of
from benchmark.cli.parser import parse
from benchmark.experiment.executor import Settings
from benchmark.experiment.session import Execution


def test_defaults_are_those_of_the_engine():
    assert execution_of(parse([])) == execution_of(parse(["analyse", "drift"])) == Execution()


def test_every_option_is_passed_on():
    given = ["--out=o", "--device=cuda:1", "--precision=bf16", "--workers=3", "--cell-timeout=9", "--executor=in-process"]
    execution = execution_of(parse(given))
    assert execution == Execution(Path("o"), "cuda:1", "bf16", 3, 9.0, "in-process")
    assert execution.settings == Settings(3, 9.0)


@pytest.mark.parametrize(
    ("options", "executor"),
    [
        ([], "process-pool"),
        (["--workers=2"], "process-pool"),
        (["--workers=0"], "in-process"),
        (["--workers=2", "--executor=in-process"], "in-process"),
    ],
)
def test_without_a_choice_of_executor(options, executor):
    assert execution_of(parse(options)).executor == executor
