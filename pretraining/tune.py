"""How the "small" presets were chosen: the same number of trials for every method, scored on validation images only.

Steps and batch size follow from the time that the embedded default may take. One setting is chosen from the same number of
values for every method: the learning rate, in powers of about 3 around the usual one of its optimiser, or, for methods
without gradient steps, the setting that the method declares instead. A trial trains on the old release with few-shot draws
that no run uses, and is scored by the accuracy on the validation images of the *base* classes, averaged over data sets and
draws. Test images, new classes and newer releases are not used. The value with the best mean is chosen, the lower one in a
tie; one setting serves all data sets, pairs and backbones.

``python -m pretraining.tune`` repeats the trials and writes the log, ``pretraining/tuning.csv``.
"""

from __future__ import annotations

import argparse
import csv
import multiprocessing
import statistics
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch
from threadpoolctl import threadpool_limits

from benchmark.backbones.clip import Backbone
from benchmark.config.schema import BackboneSpec
from benchmark.config.validation import check
from benchmark.data.dataset import Dataset
from benchmark.data.features import FeatureStore
from benchmark.data.task import BASE_TO_NEW, Task, TaskId, make_task
from benchmark.experiment.devices import cores
from benchmark.method import registry
from benchmark.method.base import Method, MethodConfig
from benchmark.training.evaluation import accuracy, predict
from benchmark.training.loop import Diverged
from benchmark.training.modules import train_module
from pretraining.recipes import RELEASES

RATES = {
    "sgd": (0.003, 0.01, 0.03, 0.1, 0.3, 1.0),
    "adam": (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1),
}
DRAWS = (101, 102)
"""Seeds of the few-shot draws, which no run uses."""
LOG = Path(__file__).parent / "tuning.csv"


def values_of(cls: type[Method], config: MethodConfig) -> tuple[str, tuple[float, ...]]:
    """The setting that is chosen, and the values that are tried."""
    return cls.trials or ("lr", RATES["sgd" if config.optimizer == "sgd" else "adam"])


def trial(cls: type[Method], changes: dict[str, float], backbone: Backbone, task: Task, store: FeatureStore) -> float:
    """Validation accuracy in per cent on the base classes after training with changed settings; 0 if training diverges."""
    config = check(cls.Config, {**cls.presets.get("small", {}), **changes}, where=cls.info.name)
    try:
        method, _ = train_module(cls, config, backbone, task, store)
    except Diverged:
        return 0.0
    held_out = store.testing(backbone, task.val, pixels=method.needs_pixels)
    return accuracy(predict(method, held_out), held_out.labels.numpy())


def _tasks() -> list[Task]:
    plugins: list[Dataset] = [plugin.cls() for plugin in registry.datasets().plugins.values()]
    tasks = []
    for dataset in plugins:
        if dataset.shift_of is None and dataset.missing() is None:
            splits = dataset.load()
            tasks += [make_task(dataset, splits, TaskId(dataset.name, BASE_TO_NEW, dataset.shots, seed)) for seed in DRAWS]
    return tasks


Row = tuple[str, str, float, str, int, float]


def choose(name: str, release: Path) -> list[Row]:
    """All trials of one method."""
    torch.set_num_threads(1)
    threadpool_limits(1)
    backbone = Backbone.load("v1", BackboneSpec(model=f"local-dir:{release}"))
    cls, store, tasks = registry.methods()[name].cls, FeatureStore(None, keep=400), _tasks()
    setting, values = values_of(cls, check(cls.Config, cls.presets.get("small", {}), where=name))
    rows: list[Row] = []
    for value in values:
        scores = [trial(cls, {setting: value}, backbone, task, store) for task in tasks]
        rows += [(name, setting, value, t.id.dataset, t.id.seed, round(s, 2)) for t, s in zip(tasks, scores, strict=True)]
    return rows


def means(rows: Sequence[Row]) -> dict[float, float]:
    """Mean score of each value."""
    values = dict.fromkeys(row[2] for row in rows)
    return {value: statistics.mean(row[5] for row in rows if row[2] == value) for value in values}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m pretraining.tune", description=__doc__)
    parser.add_argument("--release", type=Path, default=RELEASES / "v1", help="folder of the old release")
    parser.add_argument("--methods", default="all")
    parser.add_argument("--log", type=Path, default=LOG, help="CSV file; its rows of other methods are kept")
    options = parser.parse_args()
    methods = registry.methods()
    names = [name for name in methods.select(options.methods.split(",")) if not methods[name].cls.info.baseline]
    kept = _read(options.log, names)
    with ProcessPoolExecutor(cores(), mp_context=multiprocessing.get_context("spawn")) as pool:
        for name, rows in zip(names, pool.map(choose, names, [options.release.resolve()] * len(names)), strict=True):
            scores = means(rows)
            best = max(scores, key=lambda value: (scores[value], -value))
            print(f"{name}: {rows[0][1]} {best:g}", {value: round(mean, 1) for value, mean in scores.items()}, flush=True)
            kept += rows
            _write(options.log, kept)


def _read(log: Path, without: Sequence[str]) -> list[Row]:
    if not log.is_file():
        return []
    with log.open(encoding="utf-8") as file:
        rows = [(r[0], r[1], float(r[2]), r[3], int(r[4]), float(r[5])) for r in list(csv.reader(file))[1:]]
    return [row for row in rows if row[0] not in without]


def _write(log: Path, rows: Sequence[Row]) -> None:
    with log.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("method", "setting", "value", "dataset", "draw", "val_accuracy_base"))
        writer.writerows(sorted(rows))


if __name__ == "__main__":
    main()
