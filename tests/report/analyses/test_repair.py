"""Sentences and figures of repairs."""

from __future__ import annotations

import pandas as pd

from benchmark.analysis.findings import Finding, Provenance
from benchmark.report import analysis_view
from benchmark.report.analyses.repair import _choices, _without_labels, repair_figures


def test_repairs_are_shown_for_the_methods_that_allow_them() -> None:
    """Seven methods allow reuse and retraining; three of them a third way, which has a figure of its own."""
    rows = [
        {"pair": "a->b", "method": f"m{i}", "repair": strategy, "label": strategy, "seconds": seconds, "images": 0.0}
        | {"lift": lift + i, "over_reuse": lift, "accuracy": 50.0}
        for i in range(7)
        for strategy, seconds, lift in (("reuse", 0.0, 0.0), ("retrain", 2.0, 4.0), ("procrustes", 0.5, 6.0))
        if strategy != "procrustes" or i < 3
    ]
    first, second = repair_figures(pd.DataFrame(rows))
    assert [row[1:] for row in first.data] == [("reuse", 0.0, 0.0, 3.0, "yes"), ("retrain", 2.0, 0.0, 7.0, "yes")]
    assert {row[1]: (row[4], row[5]) for row in second.data} == {
        "reuse": (1.0, "yes"),
        "retrain": (5.0, ""),
        "procrustes": (7.0, "yes"),
    }


def test_what_repairs_are_compared_with_is_no_repair() -> None:
    rows = [
        {
            "pair": "a->b",
            "method": "m",
            "repair": strategy,
            "label": strategy,
            "accuracy": 50.0,
            "reuse": 45.0,
        }
        | {"zs_new": 44.0, "lift": 6.0, "lift_low": 5.0, "lift_high": 7.0, "images": 0.0, "labels": 0.0, "steps": 0.0}
        | {"over_reuse": gain, "over_reuse_low": gain - 1, "over_reuse_high": gain + 1, "seconds": 1.0, "seeds": 2}
        | {"status": "ok", "reason": "", "keeps": "", "control": False}
        for strategy, gain in (("reuse", 0.0), ("warm-start-5", 3.0), ("scratch-5", 9.0), ("retrain", 8.0))
    ]
    finding = Finding(pd.DataFrame(rows), Provenance("c", "d", 1.0, "icons", "Icons", (1, 2), "cpu"))
    (view,) = [each for each in analysis_view.sections({"repair": [finding]}) if each.name == "repair"]
    assert view.findings[0] == (
        "a → b: of 1 repair, 1 significantly better than plain reuse, 0 significantly worse "
        "(intervals are not corrected for their number). "
        "Best on average is warm-start-5 (+3.0 points over reuse). "
        "Without labels, reuse is the best of 2 choices that every module has: +6.0 points over zero-shot on the new "
        "backbone; retraining brings +6.0."
    )
    assert analysis_view.answers({"repair": [finding]}) == {
        "a → b": "Over reuse on Icons, on average: warm-start-5 +3.0 (1.0 s), retrain +8.0 (1.0 s)."
    }


def test_choices_without_labels_and_without_the_old_backbone() -> None:
    """Labels, controls and retraining do not count; what keeps the old backbone is told apart."""
    lifts = {
        "stay": (4.0, 0, "the old backbone alone", False),
        "reuse": (1.0, 0, "", False),
        "ensemble": (9.0, 8, "", False),
        "joint-offset": (2.0, 0, "the old text tower, for new class names", False),
        "both": (5.0, 0, "the old backbone", False),
        "both-zero-shot": (8.0, 0, "the old backbone", True),
        "retrain": (3.0, 16, "", False),
    }
    rows = [
        {"pair": "a->b", "method": "m", "repair": name, "label": name, "lift": lift, "lift_low": lift - 1}
        | {"lift_high": lift + 1, "labels": labels, "keeps": keeps, "control": control}
        for name, (lift, labels, keeps, control) in lifts.items()
    ]
    (row,) = _choices(pd.DataFrame(rows)).rows
    assert row[:4] == ("a \N{RIGHTWARDS ARROW} b", "m", "both", 5.0)
    assert row[5:7] == ("joint-offset", 2.0)
    assert row[8:] == (1.0, 3.0)
    sentence = _without_labels(pd.DataFrame(rows))
    assert "both is the best of 4 choices" in sentence
    assert "keeps the old backbone in use" in sentence
    assert sentence.endswith("retraining brings +3.0.")
