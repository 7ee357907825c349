"""How long statistics and report take: ``python benchmarks/report_speed.py [rows]``.

Made-up results of 20 methods, 15 data sets, 4 upgrades and 3 seeds, with the images' covariances; then a page of at least
``rows`` rows of results (100,000 unless given). Prints seconds and megabytes.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from benchmark import report
from benchmark.results import image_covariance, summary, tables
from benchmark.results.archive import RunResults
from benchmark.results.metric import harmonic_mean
from benchmark.results.provenance import About

METHODS, SETS, PAIRS, SEEDS = 20, 15, 4, 3


def results(sets: int, rng: np.random.Generator) -> pd.DataFrame:
    """Tidy results with all metrics that a run has."""
    rows = []
    names = itertools.product(range(PAIRS), range(METHODS + 1), range(sets), range(SEEDS), ("old", "reuse", "retrain"))
    for pair, method, dataset, seed, strategy in names:
        base, new = rng.normal(60 + method / 4, 2), rng.normal(55, 2)
        same = dict.fromkeys(summary.COLUMNS, "") | {"pair": f"v1->w{pair}", "old": "v1", "new": f"w{pair}"}
        same |= {"method": f"m{method}", "config": "default", "dataset": f"d{dataset}", "protocol": "base-to-new"}
        same |= {"shots": 16, "seed": seed, "strategy": strategy, "n": 200, "status": "ok"}
        for split, value in {"base": base, "new": new, "H": harmonic_mean(base, new)}.items():
            metrics = {"accuracy": value, "ece": rng.uniform(1, 9), "mean_per_class_accuracy": value - 1}
            if strategy == "reuse":
                metrics |= {"negative_flip": rng.uniform(1, 9), "positive_flip": rng.uniform(1, 9)}
            rows += [same | {"split": split, "metric": name, "value": number} for name, number in metrics.items()]
    return pd.DataFrame(rows, columns=summary.COLUMNS)


def covariances(rng: np.random.Generator) -> pd.DataFrame:
    """A table as ``image_covariance.CovarianceRows`` makes it."""
    rows = []
    for pair, dataset, split in itertools.product(range(PAIRS), range(SETS), ("base", "new", "H")):
        same = {"pair": f"v1->w{pair}", "dataset": f"d{dataset}", "protocol": "base-to-new", "shots": 16, "test_set": ""}
        same |= {"split": split, "config": "default", "other_config": "default", "drawings": 200}
        for i, j in itertools.combinations_with_replacement(range(METHODS + 1), 2):
            quantities = ("lift", "gain", "retrain_lift", "retained") if i == j else ("lift",)
            spread = rng.uniform(2, 3) if i == j else rng.uniform(0.5, 1)
            both = {"method": f"m{j}", "other": f"m{i}", "covariance": spread}
            rows += [same | both | {"quantity": quantity} for quantity in quantities]
    return pd.DataFrame(rows, columns=image_covariance.COLUMNS)


def main() -> None:
    rng, wanted = np.random.default_rng(0), int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    table, images = results(SETS, rng), covariances(rng)
    start = time.perf_counter()
    rows = report.headline(table, "m0", {}, report.covariances(images))
    seconds = time.perf_counter() - start
    print(
        f"statistics of {METHODS} methods x {SETS} sets x {PAIRS} pairs x {SEEDS} seeds: {seconds:.1f} s, {len(rows)} rows"
    )
    sets = -(-wanted * SETS // len(table))
    table = results(sets, rng)
    runs = pd.DataFrame(columns=tables.RUN_COLUMNS)
    pairs = [("v1", f"w{pair}") for pair in range(PAIRS)]
    about = About("made up", "-", pairs, [], ["base-to-new"], range(SEEDS), "-", zero_shot="m0")
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "compat.html"
        start = time.perf_counter()
        report.write(page, RunResults(Path(folder), table, runs, images.iloc[:0], about))
        size = page.stat().st_size / 2**20
        print(f"report of {len(table):,} rows: {time.perf_counter() - start:.1f} s, page {size:.1f} MB")
        if len(sys.argv) > 2:
            Path(sys.argv[2]).write_bytes(page.read_bytes())


if __name__ == "__main__":
    main()
