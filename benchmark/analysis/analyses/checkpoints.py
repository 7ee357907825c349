"""Checkpoints: does a larger drift make modules less useful? Reuse and drift along the training of a new backbone.

Four upgrades are too few to answer this. ``python -m pretraining checkpoints v2 v3`` trains the second and third release
again and keeps checkpoints; modules of the old backbone are then reused on each. The checkpoints of one training run are
not independent, so a correlation along them describes only that run.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd

from benchmark.analysis import activations
from benchmark.analysis.analyses import drift
from benchmark.analysis.base import Analysis
from benchmark.analysis.study import Study, gap, mean
from benchmark.backbones.clip import Backbone
from benchmark.config.errors import UserError
from benchmark.config.schema import BackboneSpec, RunSpec, Strict, UpgradeSpec
from benchmark.data.features import FeatureStore
from benchmark.experiment.plan import Configuration, Plan
from benchmark.method.passage import Passage
from benchmark.method.terms import Incompatible
from benchmark.results.paired import Outcome


class Settings(Strict):
    """What ``--set`` may set."""

    folder: str = "build/checkpoints"
    """Holds folders NAME-STEP as ``python -m pretraining checkpoints`` writes them."""


class Checkpoints(Analysis):
    """Drift and lift at several points on the way to a new backbone."""

    name = "checkpoints"
    title = "Does drift predict loss?"
    question = "Does a larger drift make modules less useful, along the training of the new backbone?"
    explains = True
    text_columns = ("pair", "way", "method", "title", "status", "reason")
    """``way`` names the release that the steps lead to."""
    number_columns = tuple(
        "step text_change text_cka image_cka relatedness zs_old zs_new old reuse lift lift_low lift_high".split()
    )
    """``text_change`` is the relative change of the text tower's parameters (of all blocks), ``text_cka`` and ``image_cka``
    the CKA of its outputs and of the image features; ``relatedness`` is that of the token embeddings."""
    later_columns = {"relatedness": ""}
    former_names = ("snapshots",)
    Settings = Settings

    def prepare(self, spec: RunSpec, settings: Any) -> RunSpec:
        """The YAML's old backbone, and the checkpoints in place of its new ones."""
        old, root = spec.upgrades[0].old, Path(settings.folder)
        folders = {folder.name: folder for folder in sorted(root.glob("*-*")) if _step(folder.name) is not None}
        folders = {name: folder for name, folder in folders.items() if (folder / "open_clip_config.json").exists()}
        if not folders:
            fix = f"make them: python -m pretraining checkpoints v2 v3 --work {settings.folder}"
            raise UserError(f"no checkpoints in {settings.folder}", fix=fix)
        specs = {name: BackboneSpec(model=f"local-dir:{folder.resolve()}") for name, folder in folders.items()}
        backbones = {old: spec.backbones[old], **specs}
        return spec.model_copy(update={"backbones": backbones, "upgrades": (UpgradeSpec(old=old, new=tuple(folders)),)})

    def run(self, study: Study, settings: Any) -> pd.DataFrame:
        plan = study.plan(study.pairs, [study.zero_shot, *study.competing])
        study.compute("modules of the old backbone on every checkpoint", plan.jobs)
        old = study.backbone(study.pairs[0][0])
        task, store = study.tasks()[0], FeatureStore(study.session.context.cache)
        rows = []
        for pair in study.pairs:
            new = study.backbone(pair[1])
            drifts = drift.rows_of("", old, new, task, store)
            values = {(str(tower), str(stage), str(metric)): float(str(v)) for _, tower, _, stage, metric, v, _ in drifts}
            values["text", "tokens", "relatedness"] = _relatedness(old, new)
            zeros = [study.find(plan, study.zero_shot, pair[0], on) for on in pair]
            rows += [_row(study, plan, pair, configuration, zeros, values) for configuration in study.competing]
        return pd.DataFrame(rows)

    def overview(self, table: pd.DataFrame) -> tuple[str, pd.DataFrame]:
        columns = ["relatedness", "text_change", "text_cka", "image_cka", "zs_new", "lift"]
        means = table.groupby(["way", "step"])[columns].mean()
        means.columns = pd.Index(["relatedness", "text change", "text CKA", "image CKA", "zero-shot H", "mean lift"])
        return "drift and lift along the way", means.round(2)


def _step(name: str) -> tuple[str, int] | None:
    match = re.fullmatch(r"(.+)-(\d+)", name)
    return (match[1], int(match[2])) if match else None


def _row(
    study: Study,
    plan: Plan,
    pair: tuple[str, str],
    configuration: Configuration,
    zeros: list[Outcome | None],
    values: dict[tuple[str, str, str], float],
) -> dict[str, object]:
    old, new = pair
    before, after = study.find(plan, configuration, old, old), study.find(plan, configuration, old, new)
    status, reason = study.why([plan.find(configuration, task, old, new) for task in plan.tasks])
    lift, low, high = gap(after, zeros[1])
    way, step = _step(new) or (new, 0)
    blocks = [value for (tower, stage, metric), value in values.items() if _is_block(tower, stage, metric)]
    return {
        "pair": f"{old}->{new}",
        "way": way,
        "step": step,
        "method": configuration.method,
        "title": study.title(configuration),
        "text_change": round(sum(blocks) / len(blocks), 6) if blocks else float("nan"),
        "text_cka": values["text", activations.OUTPUT, "cka"],
        "image_cka": values["vision", activations.OUTPUT, "cka"],
        "relatedness": values["text", "tokens", "relatedness"],
        "zs_old": mean(zeros[0]),
        "zs_new": mean(zeros[1]),
        "old": mean(before),
        "reuse": mean(after),
        "lift": lift,
        "lift_low": low,
        "lift_high": high,
        "status": status,
        "reason": reason,
    }


def _relatedness(old: Backbone, new: Backbone) -> float:
    """NaN where the vocabularies share too few words."""
    try:
        return round(Passage(lambda: old, new).relatedness, 6)
    except Incompatible:
        return float("nan")


def _is_block(tower: str, stage: str, metric: str) -> bool:
    return tower == "text" and metric == "change" and stage.startswith("block")
