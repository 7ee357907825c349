"""Sentences, figures and table of drift."""

from __future__ import annotations

import pandas as pd

from benchmark.analysis.findings import Finding, Provenance
from benchmark.report import analysis_view


def test_drift_is_told_from_its_table() -> None:
    rows = [
        ("v1->v2", tower, order, stage, metric, 1 - 0.1 * order, 8)
        for tower in ("text", "vision")
        for order, stage in enumerate(("input", "block 1", "block 2", "output"))
        for metric in ("change", "cka", "cosine")
    ]
    table = pd.DataFrame(rows, columns="pair tower order stage metric value n".split())
    provenance = Provenance("cmd", "2025-01-01", 3.0, "icons", "Icons", (1, 2), "cpu", "toy")
    sections = analysis_view.sections({"drift": [Finding(table, provenance)]})
    view = next(section for section in sections if section.name == "drift")
    assert (
        "0.90 after the first block and 0.80 after the last (falling with depth), and 0.70 at the output" in view.findings[0]
    )
    assert len(view.figures) == 2
    assert view.warning == "toy"
    assert len(view.tables[0].rows) == 24
