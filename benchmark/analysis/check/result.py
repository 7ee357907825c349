"""What a check of one module has found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from benchmark.analysis.check.flips import Flips, flips
from benchmark.analysis.check.options import Option
from benchmark.analysis.check.values import labelled, unlabelled
from benchmark.analysis.check.verdict import Verdict, decide
from benchmark.data.dataset import TestSet
from benchmark.results.image_intervals import Measured, share


@dataclass(frozen=True, eq=False)
class CheckResult:
    """Every option on the same test images, and what is advised."""

    about: Mapping[str, Any]
    """What was checked: ``module``, ``old``, ``new`` and ``data``, each a mapping, and ``warnings``."""
    options: tuple[Option, ...]
    test: TestSet = field(repr=False)
    labelled: bool = True
    """Whether the labels of the test images are known."""

    @property
    def groups(self) -> np.ndarray:
        """(N,) the drawing that each test image shows; images of one drawing are not independent."""
        return np.asarray(self.test.examples.groups)

    @cached_property
    def values(self) -> dict[str, Measured]:
        """By name, see ``analysis.check.values``."""
        make = labelled if self.labelled else unlabelled
        return make(self.options, self.groups)

    @cached_property
    def verdict(self) -> Verdict | None:
        """What is advised; None without labels."""
        return decide(self.options, self.groups) if self.labelled else None

    @cached_property
    def flips(self) -> Flips | None:
        """What changes when the module moves; None without labels, or if it does not fit."""
        stay, keep = self.option("stay"), self.option("keep")
        if not self.labelled or stay.predictions is None or keep.predictions is None:
            return None
        return flips(stay.predictions, keep.predictions)

    def option(self, name: str) -> Option:
        """The option of a name."""
        return next(option for option in self.options if option.name == name)

    @property
    def table(self) -> pd.DataFrame:
        """One row per option: name, label, kind, accuracy with the ends low and high of its interval, held_out (accuracy on
        held-out images), and what it takes: images, labels, steps, seconds; reason, if it could not be measured."""
        rows = []
        for option in self.options:
            predictions = option.predictions if self.labelled else None
            known = Measured(np.nan) if predictions is None else share(predictions.right, self.groups)
            rows.append(
                {
                    "name": option.name,
                    "label": option.label,
                    "kind": option.kind,
                    "accuracy": known.value,
                    "low": known.low,
                    "high": known.high,
                    "held_out": np.nan if option.held_out is None else option.held_out,
                    "images": option.images,
                    "labels": option.labels,
                    "steps": option.steps,
                    "seconds": option.seconds,
                    "reason": option.reason,
                }
            )
        return pd.DataFrame(rows)
