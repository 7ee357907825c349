"""Say what to do with one module: keep, discard, repair, stay, run both backbones, or retrain."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmark.analysis.check import gate
from benchmark.analysis.check.result import CheckResult
from benchmark.analysis.check.run import ADAPTED, BUDGET, REPAIR_BUDGET, Question, ask, own_images, repairs_to_try, task_of
from benchmark.analysis.check.values import LABELLED, UNLABELLED
from benchmark.analysis.check.verdict import CHEAPEST_FIRST
from benchmark.backbones import sanity
from benchmark.backbones.clip import Backbone
from benchmark.cli.backbones import named_backbone
from benchmark.cli.console import progress_console
from benchmark.cli.execution import require_writable, spec_of
from benchmark.config.errors import UserError
from benchmark.config.paths import program
from benchmark.config.schema import BackboneSpec, FolderSpec, RunSpec
from benchmark.config.validation import check as checked
from benchmark.data.checks import unusable_images
from benchmark.data.coop.unlabelled import is_unlabelled, unlabelled_task
from benchmark.data.dataset import Dataset
from benchmark.data.features import FeatureStore
from benchmark.data.hub_dataset import PREFIX, hub_dataset
from benchmark.data.task import FEW_SHOT, Task
from benchmark.experiment import preflight
from benchmark.experiment.devices import cores, find_device, use_cpu
from benchmark.experiment.loading import read_apart
from benchmark.experiment.session import expand, registries
from benchmark.method.base import Method
from benchmark.method.checkpoints import StoredModule, read_module
from benchmark.method.registry import Registry
from benchmark.method.terms import Incompatible
from benchmark.report.check import files, words
from benchmark.report.check.save import save
from benchmark.report.numbers import DASH, duration, number
from benchmark.results.image_intervals import share
from benchmark.training.modules import Module

FAILED = 3
"""Exit status if a condition of ``--fail-if`` holds."""


def run(options: argparse.Namespace) -> int:
    """Check it, print and write; returns the exit status: 0, 3 if a condition holds, or 1 if an option failed."""
    use_cpu(cores())
    conditions = [gate.parse(text, LABELLED | UNLABELLED, CHEAPEST_FIRST) for text in options.fail_if]
    repairs = repairs_to_try(options.repair, "--repair ")
    for file in (options.report, options.json, options.junit, options.save and options.save / "README.md"):
        if file is not None:
            require_writable(file)
    spec, console = spec_of(options), progress_console()
    methods, datasets = registries(spec)
    stored = read_module(options.module, methods, options.method)
    specs = {name: named_backbone(name, spec, where) for name, where in ((options.old, "--old"), (options.new, "--new"))}
    source = _source(options, spec, datasets)
    preflight.require(specs, [source] if isinstance(source, Dataset) else [], console)
    module = Module(methods[stored.method].cls, _settings(methods, stored, {}), stored.tensors, stored.classes)
    task, warnings = _task(source, stored, module, options, console)
    old, new = (_loaded(name, specs[name], find_device(options.device), warnings) for name in (options.old, options.new))
    warnings += _origin(stored, old)
    question = Question(
        module,
        old,
        new,
        task,
        labelled=isinstance(source, Dataset),
        retraining=_settings(methods, stored, _preset(methods, stored, spec, task)),
        repairs=repairs,
        budget=float("inf") if options.retrain else BUDGET,
        repair_budget=REPAIR_BUDGET if options.repair is None else float("inf"),
    )
    features = FeatureStore(options.cache, threads=cores())
    try:
        with _progress(len(repairs) + 5, console) as on_option:
            result = ask(question, features, on_option)
    except Incompatible as error:
        fix = "check --old: it must be the backbone that the module was trained on"
        raise UserError(str(error), where=str(options.module), fix=fix) from None
    result = replace(result, about=_about(result, options, stored, specs, warnings, spec.warning or ""))
    outcomes = [gate.judge(c, result.values, result.verdict.choice.kind if result.verdict else "") for c in conditions]
    _print(result, Console(highlight=False))
    _write(result, outcomes, options, Console(highlight=False))
    for outcome in outcomes:
        if outcome.holds:
            text = f"failed: {outcome.condition.text} ({outcome.found})"
            console.print(text, style="bold red", markup=False, soft_wrap=True)
    if any(outcome.holds for outcome in outcomes):
        return FAILED
    return 1 if any(option.failed for option in result.options) else 0


def _source(options: argparse.Namespace, spec: RunSpec, datasets: Registry[Dataset]) -> Dataset | Path:
    """The data set of a name, or a folder or CSV as it is; a path if its images have no labels."""
    path = Path(options.data)
    if options.data.startswith(PREFIX):
        return hub_dataset(options.data, template=options.template, shares=ADAPTED)()
    if not path.exists():
        try:
            cls = datasets[options.data].cls
        except UserError as error:
            raise UserError(f"--data {error.message}", fix=f"{error.fix}, or name a folder or CSV") from None
        return cls(Path(spec.data_root) if spec.data_root else None)
    path = expand(path)
    if is_unlabelled(path):
        return path
    return own_images(path, options.template)


def _task(
    source: Dataset | Path, stored: StoredModule, module: Module, options: argparse.Namespace, console: Console
) -> tuple[Task, list[str]]:
    if isinstance(source, Path):
        default = FolderSpec(path="")
        sentence = options.template or stored.described.get("template", default.template)
        context = stored.described.get("context_words", default.context_words)
        return unlabelled_task(source, options.classes or stored.classes, sentence, context), []
    with console.status(f"reading {source.name}"):
        splits = read_apart([source])[source.name]
        broken = unusable_images(part for part in (splits.train, splits.val, splits.test) if part is not None)
    if broken:
        more = f", and {len(broken) - 1} more" if len(broken) > 1 else ""
        raise UserError(f"{broken[0]}{more}", where=f"--data {options.data}", fix="replace or remove them")
    return task_of(source, splits, module)


def _settings(methods: Registry[Method], stored: StoredModule, defaults: dict[str, Any]) -> Any:
    """The settings of a module; ``defaults`` for those that its file does not determine."""
    cls = methods[stored.method].cls
    return checked(cls.Config, {**defaults, **stored.settings}, where=f"method {stored.method}")


def _preset(methods: Registry[Method], stored: StoredModule, spec: RunSpec, task: Task) -> dict[str, Any]:
    return methods[stored.method].cls.preset(spec.preset, FEW_SHOT, task.shots, task.id.dataset)


def _loaded(name: str, spec: BackboneSpec, device: str, warnings: list[str]) -> Backbone:
    backbone = Backbone.load(name, spec, device)
    warnings += [] if spec.pretrained == "random" else sanity.check(backbone)
    return backbone


def _origin(stored: StoredModule, old: Backbone) -> list[str]:
    """A warning if the module says that it was trained on another backbone."""
    about = stored.described.get("backbone", {})
    if about.get("digest") in (None, old.digest):
        return []
    return [f"the module was trained on {about.get('name')}, whose weights are not those of {old.name}"]


def _about(
    result: CheckResult,
    options: argparse.Namespace,
    stored: StoredModule,
    specs: dict[str, BackboneSpec],
    warnings: Sequence[str],
    note: str,
) -> dict[str, Any]:
    about, file = dict(result.about), Path(options.module)
    name = file.name if file.is_file() else f"{file.name}/"
    digest = hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""
    about["module"] = {**about["module"], "file": name, "sha256": digest, "note": stored.note}
    for side, backbone in (("old", options.old), ("new", options.new)):
        spec = specs[backbone]
        about[side] = {**about[side], "model": spec.model, "pretrained": spec.pretrained, "note": spec.note or ""}
    about["warnings"] = list(warnings)
    about["note"] = note
    about["command"] = f"{program()} {' '.join(options.given)}".strip()
    return about


@contextmanager
def _progress(total: int, console: Console) -> Iterator[Any]:
    """A bar with the remaining time; in a log, a line for each option."""
    from rich import progress

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeElapsedColumn(),
        progress.TextColumn("left"),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        row = bar.add_task("features", total=total)
        seen = iter(range(total + 1))

        def on_option(label: str) -> None:
            done = next(seen)
            bar.update(row, description=escape(label), completed=done)
            if not console.is_terminal:
                console.print(f"{done + 1}/{total} {label}", markup=False, soft_wrap=True)

        yield on_option


def _print(result: CheckResult, console: Console) -> None:
    for warning in result.about["warnings"]:
        console.print(f"warning: {warning}", style="yellow", markup=False, soft_wrap=True)
    if result.labelled:
        table = Table(title="accuracy, %, with 95 % intervals over test images", title_justify="left", title_style="")
        for name in ("option", "accuracy", "held-out", "images", "labels", "time"):
            table.add_column(name, justify="left" if name == "option" else "right", overflow="fold")
        for option in result.options:
            if option.predictions is not None:
                accuracy = words.cell(share(option.predictions.right, result.groups))
                held_out = DASH if option.held_out is None else number(option.held_out)
                time = duration(option.seconds) if option.seconds >= 1 else ""
                table.add_row(
                    escape(option.label), accuracy, held_out, str(option.images or ""), str(option.labels or ""), time
                )
        console.print(table)
        for line in words.not_applicable(result):
            console.print(f"not applicable: {line}", style="dim", markup=False, soft_wrap=True)
    console.print(words.headline(result), style="bold", markup=False, soft_wrap=True)
    for sentence in [*words.sentences(result), words.SEEDLESS]:
        console.print(sentence, markup=False, soft_wrap=True)


def _write(result: CheckResult, outcomes: Sequence[gate.Outcome], options: argparse.Namespace, console: Console) -> None:
    for name, file in files.write(result, outcomes, report=options.report, json=options.json, junit=options.junit):
        console.print(f"{name}: {file}", markup=False, soft_wrap=True)
    if options.save is not None:
        saved = save(options.save, result, outcomes)
        what = f"{words.quoted(saved)}" if saved else "a card alone, for no option but the original one is a module"
        console.print(f"saved: {what} in {options.save}", markup=False, soft_wrap=True)
