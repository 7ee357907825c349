"""From options to what the engine takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.cli.execution import execution_of
from benchmark.cli.parser import parse
from benchmark.config.errors import UserError
from benchmark.config.schema import RunSpec
from benchmark.config.validation import check
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
        ([], "local"),
        (["--workers=2"], "local"),
        (["--workers=0"], "in-process"),
        (["--workers=2", "--executor=in-process"], "in-process"),
    ],
)
def test_without_a_choice_of_executor(options, executor):
    assert execution_of(parse(options)).executor(spec())[0] == executor


def spec(**executor):
    content = {"backbones": {"a": {"model": "bundled:v1"}, "b": {"model": "bundled:v2"}}}
    upgrades = [{"old": "a", "new": ["b"]}]
    return check(RunSpec, {**content, "upgrades": upgrades, "executor": executor}, where="test")


def test_the_yaml_names_an_executor_and_its_settings():
    named = spec(name="local", workers_per_gpu=3)
    name, config = execution_of(parse([])).executor(named)
    assert (name, config.workers_per_gpu) == ("local", 3)
    assert execution_of(parse(["--executor=in-process"])).executor(named)[0] == "in-process"
    for given, words in (
        ({"name": "locale"}, "did you mean 'local'"),
        ({"workers_per_gp": 2}, "did you mean 'workers_per_"),
    ):
        with pytest.raises(UserError, match=words):
            execution_of(parse([])).executor(spec(**given))
