"""The table of what can be done at an upgrade."""

from __future__ import annotations

from dataclasses import replace

from benchmark.report.model import BASE_TO_NEW
from benchmark.report.ways import repair_of, ways_table
from benchmark.results.decision import Candidate, Decision

BOTH = {"strategy": "repair:both", "title": "both backbones", "keeps_old": True}
MAP = {"strategy": "repair:map", "title": "a map", "keeps_old": False}


def candidate(way: str, accuracy: float) -> Candidate:
    return Candidate(way, "m", "default", accuracy, accuracy - 50, (accuracy - 52, accuracy - 48))


def test_ways_from_cheap_to_costly_with_what_they_take():
    names = {"keep": 51.0, "repair:both": 60.0, "retrain": 60.5, "repair:map": 55.0, "stay": 53.0}
    best = {name: candidate(name, accuracy) for name, accuracy in names.items()}
    table = ways_table(Decision(best["repair:both"], best, (best["retrain"],)), [BOTH, MAP], BASE_TO_NEW, "a → b", "a", "b")
    assert [row[0] for row in table.rows] == [
        "keep the module, on b",
        "a map",
        "stay on a",
        "both backbones",
        "retrain on b",
    ]
    assert [row[4] for row in table.rows] == [
        "not significantly better than no module",
        "",
        "",
        "chosen",
        "not significantly better",
    ]
    assert table.rows[3][5] == "a and b for every image"
    assert table.rows[1][5] == "the two backbones, once"


def test_the_best_of_a_way_may_harm_elsewhere():
    kept = replace(candidate("keep", 55.0), harms_on="shifted test sets")
    table = ways_table(Decision(None, {"keep": kept}, ()), [], BASE_TO_NEW, "a → b", "a", "b")
    assert table.rows[0][4] == "harms on shifted test sets"


def test_a_way_is_shown_by_the_candidate_of_the_answer():
    """Not by a better one that harms elsewhere."""
    bad = Candidate("keep", "bad", "default", 60.0, 10.0, (8.0, 12.0), "shifted test sets")
    good, tied = candidate("keep", 55.0), Candidate("retrain", "tied", "default", 56.0, 6.0, (4.0, 8.0))
    best = {"keep": bad, "retrain": replace(bad, way="retrain")}
    table = ways_table(Decision(good, best, (tied,)), [], BASE_TO_NEW, "a → b", "a", "b")
    assert [(row[1], row[3], row[4]) for row in table.rows] == [
        ("m", 55.0, "chosen"),
        ("tied", 56.0, "not significantly better"),
    ]


def test_what_was_not_measured_has_no_row():
    kept = candidate("keep", 55.0)
    table = ways_table(Decision(kept, {"keep": kept}, ()), [BOTH], BASE_TO_NEW, "a → b", "a", "b")
    assert len(table.rows) == 1
    assert ways_table(Decision(None, {}, ()), [BOTH], BASE_TO_NEW, "a → b", "a", "b") is None
    assert repair_of("keep", [BOTH]) is None
    assert repair_of("repair:both", [MAP, BOTH]) is BOTH
