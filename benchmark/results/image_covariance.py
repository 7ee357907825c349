"""How much uncertainty comes from the test images: variances and covariances over images, per data set.

See ``paired`` for how the effects of images are computed.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import pandas as pd

from benchmark.data.task import Task, TaskId
from benchmark.experiment.plan import Cell, Configuration, Plan
from benchmark.results.cell_reader import CellReader
from benchmark.results.metric import STRATEGIES
from benchmark.results.paired import by_drawing, image_variance, joined, linearised
from benchmark.results.summary import lift_of

COLUMNS = "pair dataset protocol shots test_set split quantity method config other other_config covariance drawings".split()
"""``quantity`` is lift, gain, retrain_lift, stay_lift (old minus zero-shot on new), the lift of a repair
(``summary.lift_of``) or, for the covariance of lift and retrain_lift, retained. The covariance is in squared points, of
means over seeds. Lift has a row for every two methods, the others for a method with itself."""


Find = Callable[[Configuration, TaskId], Cell | None]
"""Finds the cell of a method on a task."""
Effects = dict[tuple[str, str], dict[str, np.ndarray]]
"""By (method, config) and quantity: the effect of each drawing on the mean over seeds, in points (they sum to about 0)."""


Right = dict[str, dict[tuple[str, str], np.ndarray]]
"""Whether each image is right, (seeds, images), by strategy (old, reuse, retrain, repairs) and (method, config)."""


class CovarianceRows:
    """All covariances of a plan: per-image effects of one pair and task, all seeds of it together. ``baseline`` names the
    zero-shot method."""

    def __init__(self, plan: Plan, reader: CellReader, baseline: str) -> None:
        self.plan, self.reader = plan, reader
        self.baseline = next((v for v in plan.configurations if v.method == baseline), None)
        self._rows: dict[tuple[str, str], list[tuple[object, ...]]] = {pair: [] for pair in plan.pairs}

    def add(self, seeds: Sequence[Task]) -> None:
        """Read the cells of tasks that differ by their seed only."""
        for old, new in self.plan.pairs:
            for name, effects in self.effects(old, new, seeds):
                rows = _rows(f"{old}->{new}", seeds[0], name, effects)
                self._rows[old, new] += [tuple(row[name] for name in COLUMNS) for row in rows]

    def table(self) -> pd.DataFrame:
        """The rows in the order of pairs and tasks."""
        return pd.DataFrame(list(itertools.chain.from_iterable(self._rows.values())), columns=COLUMNS)

    def effects(self, old: str, new: str, seeds: Sequence[Task]) -> Iterator[tuple[tuple[str, str], Effects]]:
        """For each test set (its part, its name) and for H."""
        if self.baseline is None:
            return
        sides, baseline = self._sides(old, new), self._key(self.baseline)
        seen: dict[str, tuple[Right, np.ndarray]] = {}
        for test in seeds[0].tests:
            groups, labels = np.asarray(test.examples.groups), self.reader.labels(seeds[0], test.key)
            right = {side: self._right(test.key, labels, seeds, find) for side, find in sides.items()}
            seen[test.key] = right, groups
            yield (test.part, test.name), _effects(right, baseline, groups)
        if {"base", "new"} <= seen.keys():
            yield ("H", ""), _harmonic(*seen["base"], *seen["new"], baseline)

    def _sides(self, old: str, new: str) -> dict[str, Find]:
        """How to find the cells of a pair, by side of the comparison; none where the pair is not planned for a method and
        seed (see ``cli.until_decided``), whatever other pairs need."""
        plan = self.plan

        def of_pair(find: Find) -> Find:
            return lambda configuration, task: (
                find(configuration, task) if plan.find(configuration, task, old, new) is not None else None
            )

        sides: dict[str, Find] = {
            "old": lambda configuration, task: plan.find(configuration, task, old, old),
            "reuse": lambda configuration, task: plan.find(configuration, task, old, new),
            "retrain": lambda configuration, task: plan.find(configuration, task, new, new),
        }
        for repair in plan.repairs:
            sides[repair.strategy] = partial(plan.find_repair, old=old, new=new, repair=repair)
        return {side: of_pair(find) for side, find in sides.items()}

    def _right(self, key: str, labels: np.ndarray, seeds: Sequence[Task], find: Find) -> dict[tuple[str, str], np.ndarray]:
        """Whether each image is right, (seeds, images), by method; only methods that have all their seeds. NaN for a seed
        that the plan does not have for a method."""
        right = {}
        for configuration in self.plan.configurations:
            cells = [find(configuration, task.id) for task in seeds]
            planned = [cell for cell in cells if cell is not None]
            if planned and all(self.reader.is_ok(cell.key) for cell in planned):
                rows = [None if cell is None else self.reader.predicted(cell.key, key) for cell in cells]
                if all(row is not None or cell is None for row, cell in zip(rows, cells, strict=True)):
                    blank = np.full(len(labels), np.nan)
                    stacked = [blank if row is None else (row == labels).astype(float) for row in rows]
                    right[self._key(configuration)] = np.stack(stacked)
        return right

    @staticmethod
    def _key(configuration: Configuration) -> tuple[str, str]:
        return configuration.method, configuration.label


def _harmonic(
    base: Right, base_groups: np.ndarray, new: Right, new_groups: np.ndarray, baseline: tuple[str, str]
) -> Effects:
    parts = {
        side: {name: linearised(base[side][name], new[side][name]) for name in base[side] if name in new[side]}
        for side in base
    }
    return _effects(parts, baseline, joined(base_groups, new_groups), scaled=True)


def _effects(right: Right, baseline: tuple[str, str], groups: np.ndarray, *, scaled: bool = False) -> Effects:
    """Effects of drawings by method and quantity. ``scaled``: the values are effects on the mean already."""

    def drawings(values: np.ndarray) -> np.ndarray:
        mean = np.nanmean(values, axis=0) if np.isnan(values).any() else values.mean(0)
        return by_drawing(mean if scaled else (mean - mean.mean()) / len(mean), groups)

    old, reuse, retrain = right["old"], right["reuse"], right["retrain"]
    zero = reuse.get(baseline)
    effects: Effects = {}
    for name in dict.fromkeys([*reuse, *old, *retrain]):
        by_quantity = effects[name] = {}
        if name in reuse and name in old:
            by_quantity["gain"] = drawings(reuse[name] - old[name])
        if zero is not None:
            sides = {"lift": reuse, "retrain_lift": retrain, "stay_lift": old} | {
                lift_of(side): values for side, values in right.items() if side not in STRATEGIES
            }
            for quantity, side in sides.items():
                if name in side:
                    by_quantity[quantity] = drawings(side[name] - zero)
    return effects


def _rows(pair: str, task: Task, split: tuple[str, str], effects: Effects) -> Iterator[dict[str, object]]:
    same = {
        "pair": pair,
        "dataset": task.id.dataset,
        "protocol": task.id.protocol,
        "shots": task.shots,
        "split": split[0],
        "test_set": split[1],
    }
    names = [name for name, by_quantity in effects.items() if "lift" in by_quantity]
    if not names:
        return
    lifts = np.stack([effects[name]["lift"] for name in names])
    drawings = lifts.shape[1]
    covariances = lifts @ lifts.T * drawings / max(1, drawings - 1)

    def row(quantity: str, one: tuple[str, str], other: tuple[str, str], value: float) -> dict[str, object]:
        both = {"method": one[0], "config": one[1], "other": other[0], "other_config": other[1]}
        shown = float(f"{round(value, 12):.6g}") + 0.0  # a rounding error becomes 0, and -0 becomes 0
        return same | both | {"quantity": quantity, "covariance": shown, "drawings": drawings}

    for i, one in enumerate(names):
        for j, other in enumerate(names[: i + 1]):
            yield row("lift", one, other, covariances[i, j])
    for name, by_quantity in effects.items():
        for quantity in by_quantity:
            if quantity != "lift":
                yield row(quantity, name, name, image_variance(by_quantity[quantity], by_quantity[quantity]))
        if {"lift", "retrain_lift"} <= by_quantity.keys():
            yield row("retained", name, name, image_variance(by_quantity["lift"], by_quantity["retrain_lift"]))
