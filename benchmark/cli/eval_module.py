"""``run_benchmark.py eval-module``: a module that somebody already has, put on backbones of today."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmark.backbones import sanity
from benchmark.backbones.clip import Backbone
from benchmark.config import schema
from benchmark.config.errors import UserError
from benchmark.data.batch import ClassList
from benchmark.data.dataset import Dataset, Splits, TestSet
from benchmark.data.features import FeatureStore
from benchmark.data.task import halves, only
from benchmark.experiment import preflight
from benchmark.experiment.devices import cores, find_device
from benchmark.method import registry
from benchmark.method.base import Incompatible, Method, MethodConfig
from benchmark.method.checkpoints import ImportedModule, read_module
from benchmark.training.evaluation import accuracy, attach, places, predict


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("file", type=Path, help="checkpoint of a method's official code, or a module.safetensors of ours")
    parser.add_argument(
        "--on",
        required=True,
        metavar="NAMES",
        help="backbones in the YAML, or open_clip's MODEL:PRETRAINED; comma-separated",
    )
    parser.add_argument("--dataset", required=True, metavar="NAMES", help="data sets, comma-separated")
    parser.add_argument("--method", default=None, metavar="NAME", help="whose module it is, where several would take it")
    parser.add_argument("--upgrade-pairs", type=Path, default=Path("pairs.yaml"), metavar="YAML", help="names backbones")
    parser.add_argument("--data-root", type=Path, default=None, metavar="DIR", help="folder of data sets read from files")
    parser.add_argument("--device", default="cpu", metavar="NAME", help="cpu, cuda, cuda:1")
    parser.add_argument(
        "--cache", type=Path, default=Path("results/features"), metavar="DIR", help="where features are kept"
    )


@dataclass(frozen=True)
class Row:
    """One data set on one backbone: accuracies in per cent by part, of no module and of the module."""

    dataset: str
    backbone: str
    zero_shot: dict[str, float] = field(default_factory=dict)
    module: dict[str, float] = field(default_factory=dict)
    reason: str = ""
    """Why the module does not fit; empty if it does."""


def run(options: argparse.Namespace, console: Console) -> int:
    """Evaluate and print; returns the exit status."""
    torch.set_num_threads(cores())
    spec = schema.load(options.upgrade_pairs)
    methods, plugins = registry.methods(), registry.datasets(own=spec.folders)
    module = read_module(options.file, methods, options.method)
    device = find_device(options.device)
    backbones = {name: _backbone(name, spec) for name in _listed(options.on)}
    root = options.data_root or (Path(spec.data_root) if spec.data_root else None)
    datasets = [plugins[name].cls(root) for name in _listed(options.dataset)]
    preflight.require(backbones, datasets, console)
    store = FeatureStore(options.cache, threads=cores())
    rows = []
    for name, chosen in backbones.items():
        backbone = Backbone.load(name, chosen, device)
        for warning in sanity.check(backbone) if chosen.pretrained != "random" else []:
            console.print(f"warning: {warning}", markup=False, soft_wrap=True)
        rows += [_row(backbone, dataset, module, methods[module.method].cls, store) for dataset in datasets]
    _print(module, rows, Console(highlight=False))
    return 0


def _listed(text: str) -> list[str]:
    return list(dict.fromkeys(part.strip() for part in text.split(",")))


def _backbone(name: str, spec: schema.RunSpec) -> schema.BackboneSpec:
    """A backbone of the YAML, or one named as open_clip names it."""
    if name in spec.backbones:
        return spec.backbones[name]
    if name.startswith(("local-dir:", "hf-hub:")):
        return schema.check(schema.BackboneSpec, {"model": name}, where="--on")
    model, separator, pretrained = name.partition(":")
    if not separator:
        fix = f"{schema.did_you_mean(name, spec.backbones)}; or write MODEL:PRETRAINED"
        raise UserError(f"--on {name}: no such backbone in the YAML", fix=fix)
    return schema.check(schema.BackboneSpec, {"model": model, "pretrained": pretrained}, where="--on")


def _row(backbone: Backbone, dataset: Dataset, module: ImportedModule, cls: type[Method], store: FeatureStore) -> Row:
    settings = schema.check(cls.Config, module.settings, where=f"method {module.method}")
    zero, found, reason = {}, {}, cls.incompatibility(settings, backbone) or ""
    for test in _tests(dataset, dataset.load()):
        classes = ClassList(test.classes, test.template, dataset.context_words)
        zero[test.key] = _accuracy(Method(MethodConfig(), backbone, classes), test, store)
        columns = None
        if cls.info.class_bound and module.classes:
            columns = places(test.classes, module.classes)
            classes = ClassList(module.classes, test.template, dataset.context_words)
        foreign = columns is None if module.classes else test.part == "new"  # of a file that does not tell: by their number
        if reason or (cls.info.class_bound and foreign):
            continue
        try:
            found[test.key] = _accuracy(attach(cls, settings, backbone, classes, module.tensors), test, store, columns)
        except Incompatible as error:
            if not cls.info.class_bound or module.classes:
                reason = str(error)
    if not found and not reason:
        reason = "it belongs to its training classes, and these are others"
    return Row(dataset.name, backbone.name, zero, found, reason)


def _tests(dataset: Dataset, splits: Splits) -> list[TestSet]:
    """All classes, and the base and the new ones by themselves where there are enough."""
    parts: list[tuple[str, Sequence[int]]] = [("all", range(len(splits.classes)))]
    base, new = halves(len(splits.classes), dataset.base_classes)
    if dataset.shift_of is None and len(base) > 1 and len(new) > 1:
        parts += [("base", base), ("new", new)]
    return [
        TestSet(part, only(splits.test, labels), tuple(splits.classes[label] for label in labels), dataset.template)
        for part, labels in parts
    ]


def _accuracy(method: Any, test: TestSet, store: FeatureStore, columns: Sequence[int] | None = None) -> float:
    bank = store.testing(method.backbone, test.examples, pixels=method.needs_pixels)
    return accuracy(predict(method.eval(), bank, columns=columns), bank.labels.cpu().numpy())


def _print(module: ImportedModule, rows: Sequence[Row], console: Console) -> None:
    settings = ", ".join(f"{name} {value}" for name, value in module.settings.items())
    console.print(f"module of {module.method}" + (f": {settings}" if settings else ""), markup=False)
    if module.note:
        console.print(module.note, markup=False, soft_wrap=True)
    table = Table(title="accuracy, %", title_justify="left", title_style="")
    for name in ("dataset", "backbone", "classes", "zero-shot", "module", "lift"):
        table.add_column(name, justify="left" if name in ("dataset", "backbone", "classes") else "right", overflow="fold")
    for row in rows:
        table.add_section()
        for part, zero in row.zero_shot.items():
            if part in row.module:
                figures = [f"{zero:.1f}", f"{row.module[part]:.1f}", f"{row.module[part] - zero:+.1f}"]
            else:
                figures = [f"{zero:.1f}", "-", "-"]
            table.add_row(escape(row.dataset), escape(row.backbone), part, *figures)
    console.print(table)
    for backbone, reason in dict.fromkeys((row.backbone, row.reason) for row in rows if row.reason):
        console.print(f"does not fit {backbone}: {reason}", markup=False, soft_wrap=True)
