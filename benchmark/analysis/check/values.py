"""The values of a check, by the names under which files and conditions have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from benchmark.analysis.check.options import Option
from benchmark.analysis.check.verdict import gap
from benchmark.results.image_intervals import Measured, bootstrap, share
from benchmark.results.metrics.calibration_error import calibration_error
from benchmark.training.evaluation import Predictions

LABELLED = {
    "lift": "with the module minus without it, on the new backbone, points",
    "lift_old": "the same on the old backbone, points",
    "gain": "with the module, new backbone minus old, points",
    "negative_flips": "images that were right with the module on the old backbone and are wrong on the new one, %",
    "positive_flips": "images that were wrong and are right, %",
    "zero_shot_flips": "negative flips of the backbones without the module, %",
    "ece": "calibration error (ECE) with the module on the new backbone, %",
    "ece_old": "the same on the old backbone, %",
    "ece_zero_shot": "calibration error without the module on the new backbone, %",
    "accuracy": "accuracy with the module on the new backbone, %",
    "accuracy_old": "the same on the old backbone, %",
    "zero_shot": "accuracy without the module on the new backbone, %",
    "zero_shot_old": "the same on the old backbone, %",
    "over_retrain": "the module as it is minus a retrained one, on the new backbone, points",
}
"""What each of them is, with its unit."""
UNLABELLED = {
    "agreement": "images to which the module gives the same answer on both backbones, %",
    "zero_shot_agreement": "the same without the module, %",
    "module_changes": "images to which the new backbone gives another answer with the module than without it, %",
    "module_changes_old": "the same on the old backbone, %",
}
"""Those that need no labels."""
_ACCURACIES = {"accuracy": "keep", "accuracy_old": "stay", "zero_shot": "discard", "zero_shot_old": "reference"}
_GAPS = {"lift": ("keep", "discard"), "lift_old": ("stay", "reference"), "gain": ("keep", "stay")}
_GAPS |= {"over_retrain": ("keep", "retrain")}
_ERRORS = {"ece": "keep", "ece_old": "stay", "ece_zero_shot": "discard"}
_ANSWERS = {
    "agreement": ("stay", "keep"),
    "zero_shot_agreement": ("reference", "discard"),
    "module_changes": ("discard", "keep"),
    "module_changes_old": ("reference", "stay"),
}


def unlabelled(options: Sequence[Option], groups: np.ndarray) -> dict[str, Measured]:
    """What can be said without labels; values of what could not be measured are left out."""
    found = _by_kind(options)
    values = {}
    for name, (one, other) in _ANSWERS.items():
        if one in found and other in found:
            same = found[one].predicted == found[other].predicted
            values[name] = share(~same if "changes" in name else same, groups)
    return values


def labelled(options: Sequence[Option], groups: np.ndarray) -> dict[str, Measured]:
    """All values, in the order of ``LABELLED``; those of what could not be measured are left out."""
    found = _by_kind(options)
    values = {name: share(found[kind].right, groups) for name, kind in _ACCURACIES.items() if kind in found}
    measured = {option.kind: option for option in options if option.measured}
    for name, (one, other) in _GAPS.items():
        if one in measured and other in measured:
            values[name] = gap(measured[one], measured[other], groups)
    if {"stay", "keep"} <= found.keys():
        before, after = found["stay"].right, found["keep"].right
        values["negative_flips"], values["positive_flips"] = share(before & ~after, groups), share(~before & after, groups)
    values["zero_shot_flips"] = share(found["reference"].right & ~found["discard"].right, groups)
    for name, kind in _ERRORS.items():
        if kind in found:
            values[name] = _calibration(found[kind], groups)
    return {name: values[name] for name in LABELLED if name in values} | unlabelled(options, groups)


def _by_kind(options: Sequence[Option]) -> Mapping[str, Predictions]:
    """Predictions by kind, of the kinds that have one option."""
    return {option.kind: option.predictions for option in options if option.predictions is not None}


def _calibration(predictions: Predictions, groups: np.ndarray) -> Measured:
    confidences = predictions.confidences
    assert confidences is not None
    error = bootstrap(lambda rows: calibration_error(confidences[rows], predictions.right[rows]), groups)
    return Measured(error.value, max(0.0, error.low), min(100.0, error.high))
