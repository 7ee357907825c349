"""How many augmented views of a training image are enough: ``python benchmarks/views.py [results folder]``.

Trains and tests on the first embedded CLIP, in base and new classes of three data sets, with 16 shots and 200 steps, which
are 16 to 100 epochs. Prints a Markdown table of the differences in H to a new view at every visit.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

import benchmark
from benchmark.config import schema
from benchmark.config.validation import check

METHODS = ("coop", "clip-adapter", "clip-lora")
DATASETS = ("icon-objects", "icon-modifiers", "digits")
VIEWS = ("1", "4", "16", "64", "fresh")
SPEC = {
    "backbones": {"v1": {"model": "bundled:v1"}},
    "upgrades": [{"old": "v1", "new": ["v1"]}],
    "methods": list(METHODS),
    "datasets": list(DATASETS),
    "protocols": ["base-to-new"],
    "preset": "small",
    "seeds": [1, 2, 3],
}


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "build/views")
    settings = ["clip-lora.lr=0.003"]  # the preset's rate is for 20 steps
    settings += [f"{method}.{change}" for method in METHODS for change in ("steps=200", f"views={','.join(VIEWS)}")]
    run = benchmark.run(check(schema.RunSpec, SPEC, where="views"), out=folder, settings=settings)
    rows = run.results[(run.results.strategy == "old") & (run.results.metric == "accuracy") & (run.results.split == "H")]
    rows = rows[rows.method.isin(METHODS)].assign(views=lambda table: table.config.str.extract(r"views=(\w+)")[0])
    wide = rows.pivot_table(index=["method", "dataset", "seed"], columns="views", values="value")[list(VIEWS)]
    headings = [f"{views} view{'s' if views != '1' else ''}" for views in VIEWS[:-1]]
    print(f"| method | data set | H, fresh | {' | '.join(headings)} |")
    print("|---|---|---:|" + "---:|" * (len(VIEWS) - 1))
    for names, seeds in [*wide.groupby(level=["method", "dataset"]), *wide.groupby(level="method")]:
        print(_row(*(names if isinstance(names, tuple) else (names, "mean")), seeds))


def _row(method: str, dataset: str, seeds: pd.DataFrame) -> str:
    cells = []
    for views in VIEWS[:-1]:
        difference = seeds[views] - seeds["fresh"]
        cells.append(f"{difference.mean():+.1f} ± {difference.std() / len(difference) ** 0.5:.1f}")
    return f"| {method} | {dataset} | {seeds['fresh'].mean():.1f} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
