"""How the small presets were chosen, from the log of the trials."""

from __future__ import annotations

import csv
import statistics

import pytest

from benchmark.config.validation import check
from benchmark.method import registry
from pretraining import tune

METHODS = registry.methods()


@pytest.fixture(scope="module")
def log() -> dict[str, list[tuple[str, float, float]]]:
    """Setting, value and score of every trial, by method."""
    trials: dict[str, list[tuple[str, float, float]]] = {}
    with tune.LOG.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            trial = (row["setting"], float(row["value"]), float(row["val_accuracy_base"]))
            trials.setdefault(row["method"], []).append(trial)
    return trials


@pytest.mark.parametrize("name", [name for name in METHODS.select(["all"]) if not METHODS[name].cls.info.baseline])
def test_the_small_preset_is_the_logs_best_of_as_many_trials_as_all_have(name, log):
    cls, trials = METHODS[name].cls, log[name]
    config = check(cls.Config, cls.presets["small"], where=name)
    setting, values = tune.values_of(cls, config)
    assert {trial[0] for trial in trials} == {setting}
    assert sorted({trial[1] for trial in trials}) == sorted(values)
    assert len(trials) == 6 * 12 == len(log["coop"])
    mean = {value: statistics.mean(score for _, v, score in trials if v == value) for value in values}
    assert getattr(config, setting) == max(mean, key=lambda value: (mean[value], -value))
