"""The content of a check as plain data: what its JSON holds, and what the page and the card are made of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from benchmark.analysis.check.flips import Flips
from benchmark.analysis.check.gate import Outcome
from benchmark.analysis.check.result import CheckResult
from benchmark.analysis.check.values import LABELLED, UNLABELLED
from benchmark.data.thumbnail import image_name
from benchmark.report.check import words
from benchmark.results.image_intervals import Measured
from benchmark.results.provenance import versions

SCHEMA = 1
"""Version of the JSON: raised when a key changes its meaning or is removed."""
WHAT = LABELLED | UNLABELLED


def content(result: CheckResult, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Everything that a check has found, in JSON's types; numbers that are not known are None."""
    verdict = result.verdict
    decided = verdict and {
        "choice": verdict.choice.kind,
        "option": verdict.choice.name,
        "module_itself": verdict.helps,
        "tied": [option.name for option in verdict.tied],
        "worse": [option.name for option in verdict.worse],
    }
    return {
        "schema": SCHEMA,
        "versions": versions(),
        **result.about,
        "headline": words.headline(result),
        "sentences": [*words.sentences(result), words.SEEDLESS],
        "verdict": decided,
        "values": {name: _measured(value) | {"what": WHAT[name]} for name, value in result.values.items()},
        "options": [_finite(row) for row in result.table.to_dict("records")],
        "flips": None if result.flips is None else _flips(result, result.flips),
        "conditions": [{"condition": o.condition.text, "holds": o.holds, "found": o.found} for o in outcomes],
    }


def _measured(value: Measured) -> dict[str, Any]:
    return _finite({"value": value.value, "low": value.low, "high": value.high})


def _finite(row: dict[Any, Any]) -> dict[str, Any]:
    return {str(k): None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}


def _flips(result: CheckResult, flips: Flips) -> dict[str, Any]:
    names = result.test.classes
    by_class = [
        {"class": names[row.label], "images": row.images, "lost": row.lost, "won": row.won, "net": row.net}
        for row in flips.by_class
    ]
    return {
        "by_class": by_class,
        "lost": [flip(result, row) for row in flips.lost.tolist()],
        "won": [flip(result, row) for row in flips.won.tolist()],
    }


def flip(result: CheckResult, row: int) -> dict[str, Any]:
    """One image that changes sides: its file or number, its class, and both answers."""
    before, after = result.option("stay").predictions, result.option("keep").predictions
    assert before is not None
    assert after is not None
    names = result.test.classes
    return {
        "image": image_name(result.test.examples.images, row),
        "class": names[int(after.labels[row])],
        "old": names[int(before.predicted[row])],
        "new": names[int(after.predicted[row])],
        "confidence": None if after.confidences is None else round(float(after.confidences[row]), 4),
    }
