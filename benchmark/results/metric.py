"""The contract of a metric: a number for the predictions on one test set.

To add one, put a file with a subclass of ``Metric`` into ``benchmark/results/metrics/``. Tables, summaries, the report and
its files loop over all metrics of that folder.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import lru_cache
from typing import ClassVar, Literal

from benchmark.config.discovery import classes_in
from benchmark.results import metrics
from benchmark.training.evaluation import Predictions

PRIMARY = "accuracy"
"""The metric that lift, gain, verdicts and ranks are made of."""
STRATEGIES = ("old", "reuse", "retrain")


class Metric(ABC):
    """A number for the predictions of a module on one test set."""

    name: ClassVar[str]
    """In the column ``metric`` of results.csv."""
    label: ClassVar[str]
    unit: ClassVar[str] = "%"
    higher_is_better: ClassVar[bool]
    order: ClassVar[int]
    """Place in tables."""
    strategies: ClassVar[tuple[str, ...]] = STRATEGIES
    """Where it is computed."""
    halves: ClassVar[Literal["harmonic", "pooled"]] = "pooled"
    """What H is: the harmonic mean of its values on base and new classes, or its value on the images of both."""
    in_headline: ClassVar[bool] = False
    """Whether the first table of an upgrade shows it; other metrics have a table of their own."""
    description: ClassVar[str] = ""
    """A sentence for the report."""

    @abstractmethod
    def value(self, predictions: Predictions) -> float | None:
        """The metric of predictions; None if they lack what it needs."""


@lru_cache(maxsize=1)
def all_metrics() -> tuple[Metric, ...]:
    """The metrics, in the order of tables."""
    instances = [cls() for cls in classes_in(metrics, Metric)]  # type: ignore[type-abstract]
    return tuple(sorted(instances, key=lambda metric: (metric.order, metric.name)))


def find_metric(name: str) -> Metric | None:
    """The metric of a name; None if this version does not know it."""
    return next((metric for metric in all_metrics() if metric.name == name), None)


def harmonic_mean(base: float, new: float) -> float:
    """H = 2 base new / (base + new); 0 where both are 0 (CoCoOp, Zhou et al. 2022b, section 4.1)."""
    return 0.0 if base + new == 0 else 2 * base * new / (base + new)
