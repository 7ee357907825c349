"""Model cards of the releases: a description, and zero-shot accuracy on families that no release was trained on."""

from __future__ import annotations

from pathlib import Path

from benchmark.backbones.clip import Backbone
from benchmark.config.schema import BackboneSpec
from benchmark.data.batch import ClassList
from benchmark.data.dataset import Dataset, Splits
from benchmark.data.features import FeatureStore
from benchmark.data.icons.families import FAMILIES
from benchmark.method.registry import datasets
from benchmark.training.evaluation import accuracy, predict
from benchmark.training.modules import zero_shot_of
from pretraining.recipes import RECIPES, Recipe


def zero_shot(backbone: Backbone, dataset: Dataset, splits: Splits, store: FeatureStore) -> float:
    """Accuracy in per cent over all classes of a test split."""
    method = zero_shot_of(backbone, ClassList(splits.classes, dataset.template))
    bank = store.testing(backbone, splits.test, pixels=False)
    return accuracy(predict(method, bank), bank.labels.numpy())


def measure(folder: Path, name: str) -> list[tuple[str, int, int, float]]:
    """Zero-shot accuracy of a release on every data set that needs no download: (name, classes, images, per cent)."""
    backbone = Backbone.load(name, BackboneSpec(model=f"local-dir:{folder}"))
    store, rows = FeatureStore(None), []
    for plugin in datasets().plugins.values():
        dataset = plugin.cls()
        if dataset.missing():
            continue
        splits = dataset.load()
        rows.append((plugin.name, len(splits.classes), len(splits.test), zero_shot(backbone, dataset, splits, store)))
    return rows


def write(folder: Path, name: str) -> None:
    """Write MODEL_CARD.md into a release's folder."""
    recipe = RECIPES[name]
    (folder / "MODEL_CARD.md").write_text(_text(name, recipe, measure(folder, name)), encoding="utf-8")


def _text(name: str, recipe: Recipe, rows: list[tuple[str, int, int, float]]) -> str:
    tower = recipe.vision.get("timm_model_name", "open_clip's native ViT, 4 layers, width 128, 8-pixel patches")
    start = f"{recipe.start_from}'s {' and '.join(recipe.start_towers)} tower" if recipe.start_from else "random weights"
    activation = "QuickGELU" if recipe.quick_gelu else "GELU"
    accuracies = "\n".join(f"| {data} | {classes} | {images} | {value:.1f} |" for data, classes, images, value in rows)
    sources = "\n".join(f"- {family}: {FAMILIES[family].source} ({FAMILIES[family].licence})" for family in recipe.families)
    return f"""# Icon-world release {name}: {recipe.title}

A very small CLIP for 32-pixel icons, made to show how this suite works. **Its numbers say nothing about real CLIPs.**

{recipe.story}

| | |
|---|---|
| vision tower | {tower} |
| text tower | 4 layers, width 128, 4 heads, {activation}, context {recipe.context_length} |
| embedding width | {recipe.embed_dim} |
| tokenizer | {recipe.merges} byte-pair merges learnt from the captions |
| started from | {start} |
| training | {recipe.steps} steps of {recipe.batch} drawings, AdamW, peak rate {recipe.lr}, cosine |
| augmentation | rotation, scale, shift, stroke width, noise; mirror images only where no word of the name has a side; \
random colours with probability {recipe.colour} |
| default context words | "an icon of a" |
| made by | `python -m pretraining train {name}` |

## Zero-shot accuracy

All classes of each test split, the data set's own template, in per cent. None of these drawings, nor any other of their
families, was used to pre-train any release; near-duplicates of theirs in other families were left out.

| data set | classes | images | accuracy |
|---|---:|---:|---:|
{accuracies}

## Pre-training families

{sources}
"""
