"""The files of a check."""

from __future__ import annotations

import json
from xml.etree import ElementTree

from benchmark.analysis.check.gate import judge, parse
from benchmark.analysis.check.values import LABELLED
from benchmark.report.check import files


def test_only_what_is_asked_for_is_written(result, tmp_path):
    done = list(files.write(result, [], report=None, json=tmp_path / "a" / "x.json", junit=None))
    assert done == [("json", tmp_path / "a" / "x.json")]
    assert json.loads((tmp_path / "a" / "x.json").read_text())["schema"] == 1
    assert [file.name for file in tmp_path.rglob("*.*")] == ["x.json"]


def test_junit_counts_what_holds(result):
    outcomes = [judge(parse(text, LABELLED, ()), result.values, "keep") for text in ("lift < 0", "gain < 100")]
    suite = ElementTree.fromstring(files.junit_xml(result, outcomes))
    assert (suite.get("tests"), suite.get("failures")) == ("3", "1")
    failed = [case for case in suite if case.find("failure") is not None]
    assert [case.get("name") for case in failed] == ["not gain < 100"]
    assert failed[0].find("failure").get("message").startswith("gain is ")
