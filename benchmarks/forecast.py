"""Whether the lift of a module can be forecast on the new backbone without labels, from the results of a run.

    python benchmarks/forecast.py results

Each row is a module on one test set of an upgrade. A linear model (ridge, its penalty by cross-validation) is fitted on what
needs no labels and tested on rows that it has not seen: of another upgrade, of another data set, or of both. What it must
beat is the guess that the lift is zero.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import spearmanr
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmark.experiment.store import PREDICTIONS, RECORD, Store
from benchmark.results import archive

SIGNS = (
    "same as zero-shot, new",
    "same as the module, old",
    "zero-shot same, old and new",
    "old module same as old zero-shot",
    "old module same as new zero-shot",
    "confidence minus zero-shot's, new",
    "confidence minus zero-shot's, old",
    "zero-shot's confidence, new",
    "classes predicted, of zero-shot's",
    "entropy of predictions minus zero-shot's",
    "relatedness",
)
PENALTIES = np.logspace(-2, 4, 13)


def main(folder: Path) -> None:
    rows = pd.DataFrame(_rows(folder))
    print(f"{len(rows)} rows; mean lift {rows.lift.mean():.1f}, SD {rows.lift.std():.1f} points.\n")
    print("| new to the model | tested on | rows | mean error, points | guess 0 | rank correlation |")
    print("|---|---|---|---|---|---|")
    for column, name in (("new", "upgrade"), ("dataset", "data set")):
        for value in sorted(rows[column].unique()):
            _line(name, value, rows[rows[column] == value], rows[rows[column] != value])
    for new in sorted(rows.new.unique()):
        for dataset in sorted(rows.dataset.unique()):
            test = rows[(rows.new == new) & (rows.dataset == dataset)]
            _line("both", f"{new}, {dataset}", test, rows[(rows.new != new) & (rows.dataset != dataset)])


def _line(kind: str, name: str, test: pd.DataFrame, train: pd.DataFrame) -> None:
    signs = list(SIGNS)
    model = make_pipeline(StandardScaler(), RidgeCV(PENALTIES)).fit(train[signs], train.lift)
    forecast = model.predict(test[signs])
    error, zero = np.abs(forecast - test.lift).mean(), np.abs(test.lift).mean()
    print(f"| {kind} | {name} | {len(test)} | {error:.1f} | {zero:.1f} | {spearmanr(forecast, test.lift)[0]:+.2f} |")


def _rows(folder: Path) -> Iterator[dict[str, object]]:
    """Each reused module on each test set: its lift, and what is known of it without labels."""
    run, store = archive.read(folder), Store(folder)
    names = {backbone["digest"]: backbone["name"] for backbone in run.about.backbones}
    cells = _cells(folder, store, names)
    for (method, *task, old, new), (accuracy, answers) in cells.items():
        before = cells.get((method, *task, old, old))
        baselines = [cells.get((run.about.zero_shot, *task, name, name)) for name in (old, new)]
        if method == run.about.zero_shot or old == new or before is None or None in baselines:
            continue
        (_, zero_old), (zero_accuracy, zero_new) = baselines
        for test_set in answers.keys() & before[1].keys() & zero_old.keys() & zero_new.keys():
            found = _signs(*(side[test_set] for side in (answers, before[1], zero_new, zero_old)))
            lift = accuracy[test_set] - zero_accuracy[test_set]
            signs = dict(zip(SIGNS, [*found, run.about.relatedness[f"{old}->{new}"]], strict=True))
            yield {"new": new, "dataset": task[0], "method": method, "lift": lift} | signs


Answers = tuple[np.ndarray, np.ndarray]
"""Predicted classes and confidences of the images of a test set."""


def _cells(folder: Path, store: Store, names: dict[str, str]) -> dict[tuple, tuple[dict[str, float], dict[str, Answers]]]:
    """Accuracies and answers by test set, by (method, data set, protocol, seed, trained on, tested on)."""
    keys = [file.parent.name for file in folder.glob(f"cells/*/*/{RECORD}")]
    records = {key: record for key in keys if (record := store.record(key)) is not None}
    cells = {}
    for key, record in records.items():
        config = record["config"]
        if config["kind"] != "eval" or record["status"] != "ok" or PREDICTIONS not in record["files"]:
            continue
        trained = records[config["module"]]["config"]
        task = [trained["task"][name] for name in ("dataset", "protocol", "seed")]
        predicted, confidences = store.predictions(key), store.confidences(key)
        answers = {name: (predicted[name], confidences[name].astype(float)) for name in predicted if name in confidences}
        place = (trained["method"], *task, names[trained["backbone"]], names[config["backbone"]])
        cells[place] = record["accuracy"], answers
    return cells


def _signs(new: Answers, old: Answers, zero_new: Answers, zero_old: Answers) -> list[float]:
    """All of ``SIGNS`` but the last."""
    return [
        float(np.mean(new[0] == zero_new[0])),
        float(np.mean(new[0] == old[0])),
        float(np.mean(zero_new[0] == zero_old[0])),
        float(np.mean(old[0] == zero_old[0])),
        float(np.mean(old[0] == zero_new[0])),
        float(new[1].mean() - zero_new[1].mean()),
        float(old[1].mean() - zero_old[1].mean()),
        float(zero_new[1].mean()),
        len(np.unique(new[0])) / len(np.unique(zero_new[0])),
        _entropy(new[0]) - _entropy(zero_new[0]),
    ]


def _entropy(predicted: np.ndarray) -> float:
    """Of the distribution of predicted classes, in nats."""
    shares = np.bincount(predicted) / len(predicted)
    shares = shares[shares > 0]
    return float(-(shares * np.log(shares)).sum())


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "results"))
