"""The JSON of a check."""

from __future__ import annotations

import json

import pytest
from fixtures.made_check import made

from benchmark.analysis.check.gate import judge, parse
from benchmark.analysis.check.values import LABELLED
from benchmark.report.check.content import content


def test_it_is_json_without_infinities(result):
    text = json.dumps(content(result, []), allow_nan=False)
    assert json.loads(text)["verdict"] == {
        "choice": "keep",
        "option": "keep",
        "module_itself": "helps",
        "tied": ["stay", "both", "retrain"],
        "worse": ["discard"],
    }


def test_values_have_their_unit_and_interval(result):
    value = content(result, [])["values"]["lift"]
    assert value["value"] == pytest.approx(20.0)
    assert value["low"] < 20 < value["high"]
    assert value["what"].endswith("points")


def test_flips_by_class_and_image(result):
    flips = content(result, [])["flips"]
    assert [(row["class"], row["lost"], row["won"]) for row in flips["by_class"]] == [
        ("<cat>", 6, 0),
        ("dog", 0, 2),
        ("sea lion", 0, 4),
    ]
    assert flips["lost"][0] == {"image": "image 16", "class": "<cat>", "old": "<cat>", "new": "dog", "confidence": 0.4525}


def test_conditions(result):
    outcome = judge(parse("lift < 0", LABELLED, ()), result.values, "keep")
    assert content(result, [outcome])["conditions"] == [{"condition": "lift < 0", "holds": False, "found": "lift is 20.00"}]


def test_without_labels_there_is_no_verdict():
    told = content(made(labelled=False), [])
    assert (told["verdict"], told["flips"]) == (None, None)
    json.dumps(told, allow_nan=False)
