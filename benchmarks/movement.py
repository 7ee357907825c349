"""Why reuse harms: how far a module moves the class features of a backbone, and whether in the direction in which it was
trained to: ``python benchmarks/movement.py``.

Trains on the embedded v1 with icon-objects and looks at the new classes. "Moved" is the mean of 1 - cosine between class
features with and without the module; "agreement" is the mean cosine between the changes on v1, rotated into the new joint
space, and on the new backbone, both less their mean over classes.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

from benchmark.api import load_backbone
from benchmark.backbones.clip import Backbone
from benchmark.data.features import FeatureStore
from benchmark.data.task import BASE_TO_NEW, Task, TaskId, make_task
from benchmark.experiment.loading import splits_of
from benchmark.method import registry
from benchmark.method.passage import Passage
from benchmark.method.space_maps import centred
from benchmark.training.modules import Module, attach, carried, train_module, zero_shot_of

METHODS = ("coop", "coop-offset", "clip-lora-text", "layernorm-text", "bitfit-text")
OLD, NEW, DATASET, SEEDS = "v1", ("v2", "v3", "v4", "v5"), "icon-objects", (1, 2, 3)


def main() -> None:
    backbones = {name: load_backbone(f"bundled:{name}") for name in (OLD, *NEW)}
    passages = {new: Passage(lambda: backbones[OLD], backbones[new]) for new in NEW}
    rotations = {new: centred(*passage.word_vectors("features")) for new, passage in passages.items()}
    dataset, store = registry.datasets()[DATASET].cls(None), FeatureStore(None)
    print("| method | moved on v1 |" + "".join(f" {new}: moved | agreement |" for new in NEW))
    print("|---|---:|" + "---:|---:|" * len(NEW))
    for name in METHODS:
        cls = registry.methods()[name].cls
        moved: dict[str, list[float]] = {}
        for seed in SEEDS:
            task = make_task(dataset, splits_of(dataset), TaskId(DATASET, BASE_TO_NEW, min(16, dataset.shots), seed))
            config = cls.Config(**cls.preset("small", BASE_TO_NEW, task.shots, DATASET))
            method, _ = train_module(cls, config, backbones[OLD], task, store)
            module = Module(cls, config, method.tensors(), task.classes)
            before, distance = change(module, backbones[OLD], task)
            moved.setdefault(OLD, []).append(distance)
            for new, passage in passages.items():
                after, distance = change(carried(module, passage), backbones[new], task)
                agreement = F.cosine_similarity(before @ rotations[new], after).mean()
                moved.setdefault(new, []).append(distance)
                moved.setdefault(f"{new} agreement", []).append(float(agreement))
        means = {key: sum(values) / len(values) for key, values in moved.items()}
        cells = [f"{means[OLD]:.2f}", *(f"{means[new]:.2f} | {means[f'{new} agreement']:+.2f}" for new in NEW)]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


@torch.no_grad()
def change(module: Module, backbone: Backbone, task: Task) -> tuple[torch.Tensor, float]:
    """What a module does to the class features (C, d) of the new classes, less its mean; and 1 - cosine, the mean."""
    classes = task.class_list(task.tests[1])
    method = attach(module.cls, module.config, backbone, classes, module.tensors)
    tuned, plain = (F.normalize(each.class_features(), dim=-1) for each in (method, zero_shot_of(backbone, classes)))
    return (tuned - plain) - (tuned - plain).mean(0), float((1 - (tuned * plain).sum(1)).mean())


if __name__ == "__main__":
    main()
