"""What each choice brings over several data sets: ``python benchmarks/repairs.py FOLDER``.

Reads the findings that ``analyse repair --out FOLDER`` left, one a data set, and prints a Markdown table: lift in H over
zero-shot on the new backbone by module, choice and upgrade, means over the data sets with 95 % intervals over images and
seeds. A star marks an interval that excludes 0 after Bonferroni's correction for all values of the table.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import norm, t

from benchmark.analysis import findings
from benchmark.report.numbers import arrow


def main() -> None:
    found = findings.load(Path(sys.argv[1]))["repair"]
    tables = [one.table.assign(dataset=one.provenance.dataset) for one in found]
    rows = pd.concat(tables)
    rows = rows[rows.lift.notna() & ~rows.repair.str.startswith("scratch")]
    pairs = list(dict.fromkeys(rows.pair))
    print(f"{len(found)} data sets: {', '.join(sorted(set(rows.dataset)))}; seeds: {found[0].provenance.seeds}\n")
    print(f"| module | choice | {' | '.join(map(arrow, pairs))} |")
    print("|---|---|" + "---:|" * len(pairs))
    cells = {key: part for key, part in rows.groupby(["title", "label", "pair"], sort=False) if len(part) == len(found)}
    critical = norm.ppf(1 - 0.025 / len(cells))
    for title, label in dict.fromkeys(key[:2] for key in cells):
        shown = [_cell(cells.get((title, label, pair)), critical) for pair in pairs]
        print(f"| {title} | {label} | {' | '.join(shown)} |")


def _cell(part: pd.DataFrame | None, critical: float) -> str:
    """Mean and interval over data sets, whose images are different ones."""
    if part is None:
        return ""
    widths = (part.lift_high - part.lift_low).to_numpy() / 2
    errors = widths / t.ppf(0.975, part.seeds.to_numpy() - 1)  # seeds are the fewer of what is drawn
    mean, error = float(part.lift.mean()), float(np.sqrt((errors**2).sum()) / len(part))
    half = float(t.ppf(0.975, (part.seeds - 1).sum()) * error)
    star = "*" if abs(mean) > critical * error else ""
    return f"{mean:+.1f} [{mean - half:+.1f}, {mean + half:+.1f}]{star}"


if __name__ == "__main__":
    main()
