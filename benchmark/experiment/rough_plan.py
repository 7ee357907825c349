"""The plan of a run that lacks weights or data sets: what it would compute, by published counts, and what that may cost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmark.backbones import weights
from benchmark.backbones.clip import Backbone
from benchmark.backbones.flops import of_architecture, of_backbone
from benchmark.data.dataset import Dataset, Splits
from benchmark.data.outline import outline
from benchmark.experiment import plan
from benchmark.experiment.costs import Costs
from benchmark.experiment.loading import read_apart
from benchmark.experiment.session import Execution, Selection
from benchmark.method.base import Method
from benchmark.method.registry import Registry


@dataclass(frozen=True)
class RoughPlan:
    """A plan in which images and weights may be absent, and its costs."""

    plan: plan.Plan
    costs: Costs
    left_out: tuple[str, ...]
    """Data sets of which nothing is known, and which are not part of the plan."""


def rough_plan(selection: Selection, execution: Execution, methods: Registry[Method], device: str) -> RoughPlan:
    """Lay out a run without what it lacks.

    Args:
        selection: What is asked for.
        execution: How it is computed.
        methods: The available ones.
        device: What it is to be computed on; it need not be here.

    Raises:
        UserError: what is there cannot be read, or nothing is left to plan.
    """
    spec = selection.spec
    splits = read_apart(
        [dataset for dataset in selection.datasets.values() if not dataset.missing()], execution.cell_timeout
    )
    chosen = _with_outlines(selection.datasets, splits)
    flops, digests = {}, {}
    for name, backbone in selection.backbones.items():
        digests[name] = f"of {name}, unknown"
        operations = of_architecture(backbone)
        if operations is None and not weights.missing(name, backbone):
            operations = of_backbone(backbone, Backbone.load(name, backbone).model)
        if operations is not None:
            flops[name] = operations
    laid_out = plan.make_plan(
        spec,
        methods,
        selection.configurations,
        plan.tasks(spec, chosen, splits),
        digests,
        device=device,
        precision=execution.precision,
        repairs=selection.repairs,
    )
    left_out = tuple(name for name in selection.datasets if name not in chosen)
    return RoughPlan(laid_out, Costs(laid_out, methods, flops, device), left_out)


def _with_outlines(datasets: Mapping[str, Dataset], splits: dict[str, Splits]) -> dict[str, Dataset]:
    """The data sets that a plan can have; those that are not in ``splits`` are added to it, as far as they are known. A data
    set comes before the shifted test sets that share its classes."""
    for name, dataset in sorted(datasets.items(), key=lambda item: item[1].shift_of is not None):
        if name not in splits and (made := outline(dataset, splits)) is not None:
            splits[name] = made
    return {name: dataset for name, dataset in datasets.items() if name in splits}


def seconds_by(of: plan.Plan, costs: Costs, group: Callable[[plan.Cell], str]) -> dict[str, float]:
    """Seconds of one device by what ``group`` calls a cell, the longest first."""
    sums: dict[str, float] = defaultdict(float)
    for cell in of.cells():
        sums[group(cell)] += costs.guess(cell)
    return dict(sorted(sums.items(), key=lambda item: -item[1]))
