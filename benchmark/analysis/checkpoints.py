"""Snapshots: does more drift mean less of a module's use? Reuse and drift at several points on the way to a new backbone.

Four upgrades are too few to tell. ``python -m pretraining snapshots v2 v3`` trains the second and third release again
and keeps their weights on the way; modules of the old backbone are then put on each. The points of one way follow each
other and are no independent sample, so a correlation along them describes that way and no more.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pandas as pd

from benchmark.analysis import activations, drift
from benchmark.analysis.study import Setting, gap, mean
from benchmark.config.errors import UserError
from benchmark.config.schema import BackboneSpec, RunSpec, UpgradeSpec
from benchmark.data.features import FeatureStore
from benchmark.experiment.plan import Configuration, Plan
from benchmark.results.paired import Outcome

COLUMNS = (
    "pair way step method title text_change text_cka image_cka zs_old zs_new old reuse lift lift_low lift_high "
    "status reason".split()
)
"""``text_change`` is the relative change of the text tower's parameters (of all blocks), ``text_cka`` and ``image_cka`` the
CKA of its outputs and of the image features; ``way`` names the release that the steps lead to."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    parser.add_argument(
        "--snapshots",
        type=Path,
        default=Path("build/snapshots"),
        metavar="DIR",
        help="folders NAME-STEP as 'python -m pretraining snapshots' makes them",
    )


def change(spec: RunSpec, options: argparse.Namespace) -> RunSpec:
    """The YAML's old backbone, and the snapshots in place of its new ones.

    Raises:
        UserError: there are no snapshots.
    """
    old = spec.upgrades[0].old
    found = {folder.name: folder for folder in sorted(options.snapshots.glob("*-*")) if _step(folder.name) is not None}
    found = {name: folder for name, folder in found.items() if (folder / "open_clip_config.json").exists()}
    if not found:
        fix = f"make them: python -m pretraining snapshots v2 v3 --work {options.snapshots}"
        raise UserError(f"no snapshots in {options.snapshots}", fix=fix)
    specs = {name: BackboneSpec(model=f"local-dir:{folder.resolve()}") for name, folder in found.items()}
    backbones = {old: spec.backbones[old], **specs}
    return spec.model_copy(update={"backbones": backbones, "upgrades": (UpgradeSpec(old=old, new=tuple(found)),)})


def _step(name: str) -> tuple[str, int] | None:
    match = re.fullmatch(r"(.+)-(\d+)", name)
    return (match[1], int(match[2])) if match else None


def run(setting: Setting, options: argparse.Namespace) -> pd.DataFrame:
    """Drift and lift at every snapshot."""
    made = setting.plan(setting.pairs, [setting.zero_shot, *setting.contestants])
    setting.compute("modules of the old backbone on every snapshot", made.jobs)
    old = setting.backbone(setting.pairs[0][0])
    task, store = setting.tasks()[0], FeatureStore(setting.session.context.cache)
    rows = []
    for pair in setting.pairs:
        moved = drift.rows_of("", old, setting.backbone(pair[1]), task, store)
        figures = {(str(tower), str(stage), str(metric)): float(str(v)) for _, tower, _, stage, metric, v, _ in moved}
        zeros = [setting.find(made, setting.zero_shot, pair[0], on) for on in pair]
        rows += [_row(setting, made, pair, configuration, zeros, figures) for configuration in setting.contestants]
    return pd.DataFrame(rows, columns=COLUMNS)


def _row(
    setting: Setting,
    made: Plan,
    pair: tuple[str, str],
    configuration: Configuration,
    zeros: list[Outcome | None],
    figures: dict[tuple[str, str, str], float],
) -> dict[str, object]:
    old, new = pair
    before, after = setting.find(made, configuration, old, old), setting.find(made, configuration, old, new)
    status, reason = setting.why([made.find(configuration, task, old, new) for task in made.tasks])
    lift, low, high = gap(after, zeros[1])
    way, step = _step(new) or (new, 0)
    blocks = [value for (tower, stage, metric), value in figures.items() if _is_block(tower, stage, metric)]
    return {
        "pair": f"{old}->{new}",
        "way": way,
        "step": step,
        "method": configuration.method,
        "title": setting.title(configuration),
        "text_change": round(sum(blocks) / len(blocks), 6) if blocks else float("nan"),
        "text_cka": figures["text", activations.OUTPUT, "cka"],
        "image_cka": figures["vision", activations.OUTPUT, "cka"],
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


def _is_block(tower: str, stage: str, metric: str) -> bool:
    return tower == "text" and metric == "change" and stage.startswith("block")
