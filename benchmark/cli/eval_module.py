"""Evaluate a module that already exists on other backbones."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmark.backbones import sanity
from benchmark.backbones.clip import Backbone
from benchmark.cli.backbones import named_backbone
from benchmark.cli.console import progress_console
from benchmark.cli.execution import spec_of
from benchmark.config.errors import UserError
from benchmark.config.schema import RunSpec
from benchmark.config.validation import check
from benchmark.data.dataset import Splits
from benchmark.data.features import FeatureStore
from benchmark.data.task import test_task
from benchmark.experiment import preflight
from benchmark.experiment.devices import cores, find_device, use_cpu
from benchmark.experiment.loading import read_apart
from benchmark.experiment.session import registries
from benchmark.method.checkpoints import StoredModule, read_module
from benchmark.method.passage import Passage
from benchmark.method.terms import Incompatible
from benchmark.training.loop import Diverged
from benchmark.training.modules import Comparison, Module, compare_to_zero_shot


class Row(NamedTuple):
    """One data set on one backbone."""

    dataset: str
    backbone: str
    comparison: Comparison


def run(options: argparse.Namespace) -> int:
    """Evaluate and print; returns the exit status, 1 if a data set could not be evaluated."""
    use_cpu(cores())
    console = progress_console()
    spec = spec_of(options)
    methods, plugins = registries(spec)
    stored = read_module(options.file, methods, options.method)
    cls = methods[stored.method].cls
    config = check(cls.Config, stored.settings, where=f"method {stored.method}")
    module = Module(cls, config, stored.tensors, stored.classes)
    device = find_device(options.device)
    backbones = {name: named_backbone(name, spec, "--on") for name in dict.fromkeys(options.on)}
    root = Path(spec.data_root) if spec.data_root else None
    datasets = [plugins[name].cls(root) for name in dict.fromkeys(options.dataset)]
    preflight.require(backbones, datasets, console)
    features = FeatureStore(options.cache, threads=cores())
    rows: list[Row] = []
    failed: list[str] = []
    splits: dict[str, Splits] = {}
    for dataset in datasets:
        try:
            splits |= read_apart([dataset])
        except UserError as error:  # the other rows are worth having
            failed.append(str(error))
    for name, chosen in backbones.items():
        backbone = Backbone.load(name, chosen, device)
        for warning in sanity.check(backbone) if chosen.pretrained != "random" else []:
            console.print(f"warning: {warning}", markup=False, soft_wrap=True)
        passage = _passage(stored, backbone, spec)
        for dataset in (dataset for dataset in datasets if dataset.name in splits):
            try:
                comparison = compare_to_zero_shot(
                    module, backbone, test_task(dataset, splits[dataset.name]), features, passage
                )
            except (UserError, Diverged) as error:
                failed.append(f"{dataset.name} on {name}: {error}")
            else:
                rows.append(Row(dataset.name, name, comparison))
    _print(stored, rows, Console(highlight=False))
    for line in failed:
        console.print(f"error: {line}", style="bold red", markup=False, soft_wrap=True)
    return 1 if failed else 0


def _passage(stored: StoredModule, new: Backbone, spec: RunSpec) -> Passage | None:
    """The way to a backbone from the one that a module was trained on, where the YAML has it; None if it is the same."""
    about = stored.described.get("backbone", {})
    if about.get("digest") in (None, new.digest):
        return None

    def old() -> Backbone:
        name = str(about.get("name"))
        if name in spec.backbones:
            found = Backbone.load(name, spec.backbones[name], str(new.device))
            if found.digest == about["digest"]:
                return found
        raise Incompatible(f"carrying it there needs the backbone that it was trained on, and the YAML has no such {name!r}")

    return Passage(old, new)


def _print(module: StoredModule, rows: Sequence[Row], console: Console) -> None:
    settings = ", ".join(f"{name} {value}" for name, value in module.settings.items())
    console.print(f"module of {module.method}" + (f": {settings}" if settings else ""), markup=False)
    if module.note:
        console.print(module.note, markup=False, soft_wrap=True)
    table = Table(title="accuracy, %", title_justify="left", title_style="")
    for name in ("dataset", "backbone", "classes", "zero-shot", "module", "lift"):
        table.add_column(name, justify="left" if name in ("dataset", "backbone", "classes") else "right", overflow="fold")
    for row in rows:
        table.add_section()
        for part, predictions in row.comparison.zero_shot.items():
            zero_shot, values = predictions.accuracy, ["-", "-"]
            if part in row.comparison.module:
                value = row.comparison.module[part].accuracy
                values = [f"{value:.1f}", f"{value - zero_shot:+.1f}"]
            table.add_row(escape(row.dataset), escape(row.backbone), part, f"{zero_shot:.1f}", *values)
    console.print(table)
    for backbone, reason in dict.fromkeys((row.backbone, row.comparison.reason) for row in rows if row.comparison.reason):
        console.print(f"incompatible with {backbone}: {reason}", markup=False, soft_wrap=True)
