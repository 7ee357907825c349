"""The compatibility card."""

from __future__ import annotations

import yaml
from fixtures.made_check import made

from benchmark.report.check.card import card


def parts(text: str) -> tuple[dict, str]:
    _, header, body = text.split("---\n", 2)
    return yaml.safe_load(header), body


def test_its_header_is_yaml_with_the_result(result):
    header, body = parts(card(result, [], result.option("keep"), ["module.safetensors"], "2026-11-28"))
    assert header["base_model"] == "EVA02-B-16"
    assert header["model-index"][0]["results"][0]["metrics"][0]["value"] == 80.0
    told = header["compatibility"]
    assert (told["verdict"], told["saved"], told["date"], told["test_images"]) == ("keep", "keep", "2026-11-28", 60)
    assert told["old"] == {"name": "old<b>", "sha256": "11" * 32}
    assert told["lift"]["value"] == 20.0
    assert "the advised option: `module.safetensors`" in body


def test_it_names_the_worst_classes(result):
    _, body = parts(card(result, [], None, [], "2026-11-28"))
    assert "Classes that lose most if the module is kept as it is: <cat> \N{MINUS SIGN}30.0 points." in body
    assert "There is no module in this folder" in body


def test_no_class_need_lose():
    body = parts(card(made((20, 20, 20)), [], None, [], "2026-11-28"))[1]
    assert "No class loses if the module is kept as it is." in body


def test_every_measured_option_is_in_its_table(result):
    body = parts(card(result, [], None, [], "2026-11-28"))[1]
    assert "| keep it on new | 80.0 [68.2, 88.2] | advised |" in body
    assert "ridge map" not in body
