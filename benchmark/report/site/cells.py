"""The cells behind a row of a leaderboard: values, where they come from, and the command that computes them again."""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from benchmark.report import table_prep
from benchmark.report.model import MethodRow
from benchmark.report.site.boards import Board
from benchmark.report.site.sources import Part, Upgrade
from benchmark.report.table import NAN
from benchmark.results.metric import PRIMARY

YAML = "upgrade.yaml"
"""What commands call the file of the two backbones."""


@dataclass(frozen=True)
class CellRow:
    """One data set and seed of a method, from one pack. Accuracies are in per cent, lift is in points."""

    dataset: str
    seed: int
    shots: int
    old: float
    reuse: tuple[float, ...]
    """Of the splits that the scope combines, and of the scope's own split."""
    retrain: float
    zero_shot: float
    """On the new backbone."""
    images: float
    """Test images of reuse."""
    reason: str
    """Why values are missing; empty if none is."""
    pack: str
    device: str
    torch: str
    version: str
    """Of the method, and the beginning of the hash of its file where that is recorded."""
    key: str
    """Of the training on the old backbone: the name of its folder in the results."""
    command: str

    @property
    def lift(self) -> float:
        return self.reuse[-1] - self.zero_shot


Row = dict[Any, Any]
"""Of results.csv."""
Place = tuple[str, str, str, int]
"""Method, configuration, data set, seed."""


class Cells:
    """The cells of a board."""

    def __init__(self, board: Board) -> None:
        self._parts = [(part, _values(part), _trainings(part)) for part in board.parts]

    def of(self, row: MethodRow) -> list[CellRow]:
        """Those of a method, by data set and seed; a cell that several packs have is there for each of them."""
        rows = [
            _cell(part, place, values, trainings)
            for part, values, trainings in self._parts
            for place in values
            if place[:2] == (row.method, row.config)
        ]
        return sorted(rows, key=lambda cell: (cell.dataset, cell.seed, cell.pack))


def _values(part: Part) -> dict[Place, list[Row]]:
    """The rows of accuracies by cell."""
    results = part.run.results
    rows = results[(results.metric == PRIMARY) & (results.test_set == "")]
    cells: dict[Place, list[Row]] = {}
    for row in rows.to_dict("records"):
        cells.setdefault((row["method"], row["config"], row["dataset"], int(row["seed"])), []).append(dict(row))
    return cells


def _trainings(part: Part) -> dict[Place, list[tuple[str, str]]]:
    """(key, hash of the method's file) of the trainings on the old backbone."""
    runs = part.run.runs
    rows = runs[(runs.kind == "train") & (runs.backbone == part.upgrade.names[0])]
    trainings: dict[Place, list[tuple[str, str]]] = {}
    for row in rows.to_dict("records"):
        place = (row["method"], row["config"], row["dataset"], int(row["seed"]))
        trainings.setdefault(place, []).append((str(row["key"]), str(row.get("plugin") or "")))
    return trainings


def _cell(
    part: Part,
    place: Place,
    values: Mapping[Place, list[Row]],
    trainings: Mapping[Place, list[tuple[str, str]]],
) -> CellRow:
    method, config, dataset, seed = place
    about, view, rows = part.run.about, part.view, values[place]
    splits = (*view.parts, view.split)
    zero = next((rows for other, rows in values.items() if other[0] == about.zero_shot and other[2:] == place[2:]), [])
    found = trainings.get(place, [])
    key, plugin = found[0] if len(found) == 1 else ("", "")  # several numbers of shots have a training each
    reused = [_find(rows, "reuse", split, "n") for split in splits]
    shots = int(rows[0]["shots"])
    return CellRow(
        dataset=dataset,
        seed=seed,
        shots=shots,
        old=_find(rows, "old", view.split),
        reuse=tuple(_find(rows, "reuse", split) for split in splits),
        retrain=_find(rows, "retrain", view.split),
        zero_shot=_find(zero, "reuse", view.split),
        images=next((count for count in reversed(reused) if math.isfinite(count)), NAN),
        reason="; ".join(dict.fromkeys(_reason(row) for row in rows if row["status"] != "ok")),
        pack=part.source.name,
        device=about.device,
        torch=about.versions.get("torch", "unknown"),
        version=_version(part, method, plugin),
        key=key,
        command=command(part, method, config, dataset, seed, shots),
    )


def _find(rows: list[Row], strategy: str, split: str, name: str = "value") -> float:
    """A value of a cell, or NaN."""
    return next((float(row[name]) for row in rows if row["strategy"] == strategy and row["split"] == split), NAN)


def _reason(row: Row) -> str:
    return f"{row['strategy']}: {row['status']}" + (f", {row['reason']}" if row["reason"] else "")


def _version(part: Part, method: str, plugin: str) -> str:
    info = part.run.methods.get(method)
    version = f"version {info.version}" if info else "unknown"
    return f"{version}, file {plugin[:12]}" if plugin else version


def command(part: Part, method: str, config: str, dataset: str, seed: int, shots: int) -> str:
    """The command that computes a cell again, with the backbones of ``snippet``."""
    about = part.run.about
    words = ["python", "run_benchmark.py", "--upgrade-pairs", YAML, "--methods", method, "--datasets", dataset]
    words += ["--protocols", ",".join(about.protocols), "--seeds", str(seed), "--shots", str(shots)]
    words += [word for setting in _changed(part, method, config) for word in ("--set", f"{method}.{setting}")]
    precision = re.search(r"--precision[= ](\w+)", about.command)
    words += ["--precision", precision[1]] if precision else []
    return shlex.join([*words, "--device", about.device_kind])


def _changed(part: Part, method: str, config: str) -> list[str]:
    """The settings that the user changed, as KEY=VALUE; the name of a configuration says which."""
    known, changed = part.run.about.settings.get(table_prep.label(method, config), {}), []
    for key, text in re.findall(r"(\w+)=(.*?)(?=,\w+=|$)", config):
        value = known.get(key, text)
        changed.append(f"{key}={json.dumps(value) if isinstance(value, list) else text}")
    return changed


def snippet(upgrade: Upgrade, preset: str) -> str:
    """The YAML of two backbones, for ``--upgrade-pairs``."""
    backbones = {str(facts["name"]): _spec(facts) for facts in (upgrade.old, upgrade.new)}
    old, new = upgrade.names
    content = {"backbones": backbones, "upgrades": [{"old": old, "new": new}], "preset": preset}
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=1000)


def _spec(facts: Mapping[str, Any]) -> dict[str, str]:
    """A backbone as YAMLs describe it."""
    model, _, pretrained = str(facts.get("model") or "unknown").partition(" / ")
    return {"model": model, **({"pretrained": pretrained} if pretrained else {})}
