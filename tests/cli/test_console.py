"""Tables in the terminal."""

from __future__ import annotations

import io

import pandas as pd
import pytest
from rich.console import Console

from benchmark.cli.console import datasets_table, frame_table, hours, methods_table, time_table
from benchmark.experiment.estimate import RunTime
from benchmark.method import registry


def shown(table) -> str:
    console = Console(file=io.StringIO(), width=200)
    console.print(table)
    return console.file.getvalue()


def test_a_data_frame_with_markup_and_missing_numbers():
    frame = pd.DataFrame({"[b]": [1.25, float("nan")]}, index=pd.Index(["one [/x]", "two"], name="name"))
    text = shown(frame_table("a title", frame))
    for words in ("a title", "[b]", "one [/x]", "1.25", "-"):
        assert words in text


def test_a_data_frame_with_two_texts_in_each_row():
    index = pd.MultiIndex.from_tuples([("v1", "coop")], names=["old", "method"])
    rows = shown(frame_table("t", pd.DataFrame({"x": [3.0]}, index=index))).splitlines()
    assert [cell.strip() for cell in rows[-2].strip("│").split("│")] == ["v1", "coop", "3"]


@pytest.mark.parametrize(("seconds", "text"), [(99, "99 s"), (100, "2 min"), (5999, "100 min"), (6000, "1.7 h")])
def test_times(seconds, text):
    assert hours(seconds) == text


def test_the_estimate_sorts_by_time_and_names_what_failed():
    times = RunTime({"quick": 10.0, "slow": 7200.0}, 60.0, {"broken": "no memory"})
    text = shown(time_table(times, 2, "cpu"))
    assert "about 2.0 h of one core, 61 min on 2" in text
    assert text.index("slow") < text.index("quick") < text.index("image features") < text.index("broken")
    assert "no memory" in text
    assert "GPU time" in shown(time_table(times, 1, "cuda:1"))


def test_plugins():
    methods = shown(methods_table(registry.methods()))
    assert "IJCV 2022" in methods
    datasets = shown(datasets_table(registry.datasets()))
    row = next(line for line in datasets.splitlines() if "imagenet-sketch" in line)
    assert [cell.strip() for cell in row.strip("│").split("│")][2:4] == ["-", "imagenet"]
