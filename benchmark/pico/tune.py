"""How the "small" presets were chosen: the same number of trials for every method, scored on validation images only.

The rule. Steps and batch size are set by what the embedded default's time allows; the learning rate is chosen from the
same number of values for every method: powers of about 3, around what is usual for its optimiser. A trial trains on the
old release with few-shot draws that no run uses, and is scored by the accuracy on the validation images of the *base*
classes, averaged over data sets and draws. Neither test images nor new classes nor any newer release is looked at. The
best mean wins, the lower rate in a tie; one setting serves all data sets, pairs and backbones.

``python -m benchmark.pico.tune`` repeats it and writes the log, ``benchmark/pico/tuning.csv``.
"""

from __future__ import annotations

import argparse
import csv
import statistics
from pathlib import Path

import torch

from benchmark import registry
from benchmark.backbone import Backbone
from benchmark.config import BackboneSpec, check
from benchmark.dataset import Dataset
from benchmark.evaluation import accuracy, predict
from benchmark.features import FeatureStore
from benchmark.method import ClassList, Method
from benchmark.pico.recipes import RELEASES
from benchmark.task import BASE_TO_NEW, Task, TaskId, make_task
from benchmark.training import Diverged, derive_seed, train

RATES = {
    "sgd": (0.003, 0.01, 0.03, 0.1, 0.3, 1.0),
    "adamw": (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1),
}
DRAWS = (101, 102)
"""Seeds of the few-shot draws; runs use others."""
LOG = Path(__file__).parent / "tuning.csv"


def trial(cls: type[Method], rate: float, backbone: Backbone, task: Task, store: FeatureStore) -> float:
    """Validation accuracy in per cent on the base classes after training with one rate; 0 if training diverges."""
    config = check(cls.Config, {**cls.presets.get("small", {}), "lr": rate}, where=cls.info.name)
    torch.manual_seed(derive_seed("init", task.id.seed))
    method = cls(config, backbone, ClassList(task.classes, task.template, task.context_words))
    bank = store.training(backbone, task.train, task.augmentation, config.views, pixels=method.needs_pixels)
    try:
        train(method, bank, shots=task.shots, seed=task.id.seed)
    except Diverged:
        return 0.0
    held_out = store.testing(backbone, task.val, pixels=method.needs_pixels)
    return accuracy(predict(method, held_out), held_out.labels.numpy())


def _tasks() -> list[Task]:
    plugins: list[Dataset] = [plugin.cls() for plugin in registry.datasets().plugins.values()]
    found = []
    for dataset in plugins:
        if dataset.variant_of is None and dataset.missing() is None:
            splits = dataset.load()
            found += [make_task(dataset, splits, TaskId(dataset.name, BASE_TO_NEW, dataset.shots, s)) for s in DRAWS]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmark.pico.tune", description=__doc__)
    parser.add_argument("--release", type=Path, default=RELEASES / "v1", help="folder of the old release")
    parser.add_argument("--methods", default="all")
    parser.add_argument("--log", type=Path, default=LOG)
    options = parser.parse_args()
    torch.set_num_threads(1)
    backbone = Backbone.load("v1", BackboneSpec(model=f"local-dir:{options.release.resolve()}"))
    methods, store, tasks, rows = registry.methods(), FeatureStore(None, keep=400), _tasks(), []
    for name in methods.select(options.methods.split(",")):
        cls = methods[name].cls
        if cls.info.control:
            continue
        config = check(cls.Config, cls.presets.get("small", {}), where=name)
        best = (-1.0, 0.0)
        for rate in RATES[config.optimizer]:
            scores = [trial(cls, rate, backbone, task, store) for task in tasks]
            rows += [(name, rate, t.id.dataset, t.id.seed, round(s, 2)) for t, s in zip(tasks, scores, strict=True)]
            mean = statistics.mean(scores)
            best = max(best, (mean, -rate))
            print(f"{name} lr {rate}: {mean:.2f} {[round(s) for s in scores]}", flush=True)
        print(f"{name}: lr {-best[1]} ({best[0]:.2f})", flush=True)
    with options.log.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("method", "lr", "dataset", "draw", "val_accuracy_base"))
        writer.writerows(rows)


if __name__ == "__main__":
    main()
