"""The answers in words, from fixed results: somebody who reads them says the same as the rule."""

from __future__ import annotations

import math
from dataclasses import replace

from benchmark.report.answers import Evidence, answer, harmful, headline
from benchmark.report.model import BASE_TO_NEW, Accuracies, Answer, MethodRow, ShiftRow
from benchmark.report.table import Interval
from benchmark.results.decision import Candidate, Decision
from benchmark.results.elsewhere import Effect

NAN = math.nan


def row(name: str, verdict: str, reuse: float, *, baseline: bool = False) -> MethodRow:
    lift = Interval() if baseline else Interval(reuse - 50, reuse - 52, reuse - 48)
    return MethodRow(
        "a->b", name, "default", name, "deep", baseline, reuse=Accuracies(reuse), zs_new=50.0, lift=lift, verdict=verdict
    )


def shift(name: str, lift: float, verdict: str) -> ShiftRow:
    interval = Interval(lift, lift - 1.0, lift + 1.0)
    return ShiftRow(name, False, "", "all shifted test sets", 40.0, 50 + lift, 50.0, 50.0, interval, verdict)


def candidate(way: str, name: str, accuracy: float) -> Candidate:
    return Candidate(way, name, "default", accuracy, accuracy - 50, (accuracy - 52, accuracy - 48))


ROWS = [
    row("zero-shot", "", 50.0, baseline=True),
    row("one", "helps", 58.0),
    row("two", "undecided", 51.0),
    row("three", "harms", 41.0),
    row("four", "incompatible", NAN),
]


def told(decision: Decision, **more: object) -> Answer:
    return answer(Evidence("a → b", "pair-1", "a", "b", ROWS, decision, **more), BASE_TO_NEW)  # type: ignore[arg-type]


BY_DATASET = {"digits": 23.7, "modifiers": 2.8, "objects": -2.5}


def test_keep_says_where_it_helps_and_where_not():
    kept, retrained = candidate("keep", "one", 58.0), candidate("retrain", "one", 59.0)
    found = told(
        Decision(kept, {"keep": kept, "retrain": retrained}, (retrained,), BY_DATASET),
        elsewhere={"shifted test sets": [shift("one", -0.5, "undecided"), shift("three", -9.0, "harms")]},
        effects={"shifted test sets": {("keep", "one", "default"): Effect(-0.5, (-1.5, 0.5), "undecided")}},
    )
    assert (found.decision, found.kind) == ("keep one", "helps")
    assert found.sentence == (
        "Reused, one has H 58.0, +8.0 ± 2.0 points over the new backbone without a module (H 50.0). "
        "The choice is better than no module on 2 of 3 data sets (lowest: objects −2.5; mean without digits: +0.1); "
        "on shifted test sets it is −0.5 ± 1.0 points over no module (verdict: undecided). "
        "Costlier ways that are not significantly better: retraining (one, 59.0). "
        "Of 3 reused methods, 1 helps and 1 harms; on shifted test sets, none help and 1 harms; 1 is incompatible."
    )


def test_every_way_says_where_it_is_better_and_where_not():
    both = candidate("repair:both", "two", 60.0)
    shown = {("repair:both", "two", "default"): Effect(-0.5, (-1.5, 0.5), "undecided")}
    found = told(Decision(both, {}, (), BY_DATASET), repairs=REPAIRS, effects={"shifted test sets": shown})
    assert (
        "The choice is better than no module on 2 of 3 data sets (lowest: objects −2.5; mean without digits: +0.1); "
        "on shifted test sets it is −0.5 ± 1.0 points over no module (verdict: undecided)." in found.sentence
    )


def test_stay_names_the_module_of_the_old_backbone():
    stay = candidate("stay", "two", 57.0)
    found = told(Decision(stay, {"keep": candidate("keep", "one", 53.0), "stay": stay}, ()))
    assert (found.decision, found.kind) == ("stay on a", "harms")
    assert found.sentence.startswith(
        "On a, two has H 57.0, +7.0 ± 2.0 points over the new backbone without a module (H 50.0); "
        "the best reused module, one, has 53.0. Of 3 reused methods"
    )
    bare = candidate("stay", "zero-shot", 57.0)
    assert told(Decision(bare, {"stay": bare}, ())).sentence.startswith("Without a module, a has H 57.0")


REPAIRS = [
    {"strategy": "repair:both", "title": "both backbones", "keeps_old": True},
    {"strategy": "repair:map", "title": "a map", "keeps_old": False},
]


def test_repairs_and_both_backbones():
    both, kept, mapped = (
        candidate(*one) for one in (("repair:both", "two", 60.0), ("keep", "one", 53.0), ("repair:map", "two", 59.5))
    )
    found = told(Decision(both, {"keep": kept, "repair:both": both}, ()), repairs=REPAIRS)
    assert (found.decision, found.kind) == ("run both, with two", "harms")
    assert found.sentence.startswith(
        "On a and b together (both backbones), two has H 60.0, +10.0 ± 2.0 points over the new backbone without a module "
        "(H 50.0); the best reused module, one, has 53.0. Of 3"
    )
    found = told(Decision(mapped, {"repair:map": mapped}, (both,)), repairs=REPAIRS)
    assert found.decision == "repair two (a map)"
    assert "Costlier ways that are not significantly better: both backbones (two, 60.0)." in found.sentence


def test_retrain_and_no_module():
    retrain = candidate("retrain", "two", 60.0)
    found = told(Decision(retrain, {"retrain": retrain}, ()))
    assert found.decision == "retrain two"
    assert found.sentence.startswith("Retrained, two has H 60.0, +10.0 ± 2.0 points over")
    nothing = told(Decision(None, {}, ()))
    assert nothing.decision == "use no module"
    assert nothing.sentence.startswith(
        "Nothing that was measured is significantly better than the new backbone without a module (H 50.0)."
    )


def test_what_harms_elsewhere_is_named_where_it_is_why_there_is_no_choice():
    harms = replace(candidate("keep", "one", 58.0), harms_on="shifted test sets")
    found = told(Decision(None, {"keep": harms, "stay": candidate("stay", "two", 51.0)}, ()))
    assert found.decision == "use no module"
    assert found.sentence.startswith(
        "Nothing that was measured is significantly better than the new backbone without a module (H 50.0) and does no harm "
        "elsewhere: reuse (one) harms on shifted test sets. Of 3"
    )
    stay = candidate("stay", "two", 57.0)
    assert "the best reused module, one, has 58.0 and harms on shifted test sets." in (
        told(Decision(stay, {"keep": harms, "stay": stay}, ())).sentence
    )


def test_without_any_result_there_is_no_answer():
    rows = [row("four", "incompatible", NAN)]
    found = answer(Evidence("a → b", "pair-1", "a", "b", rows, Decision(None, {}, ())), BASE_TO_NEW)
    assert found.decision == "no result"


def test_what_harms_under_another_protocol():
    found = {("keep", "one", "default"): "harms", ("keep", "two", "default"): "undecided", ("stay", "one", "c"): "harms"}
    effects = {who: Effect(-9.0, (-10.0, -8.0), verdict) for who, verdict in found.items()}
    other = {("keep", "one", "default"): Effect(-9.0, (-10.0, -8.0), "harms")}
    assert harmful({"shifted test sets": effects, "other data sets": other}) == {
        ("keep", "one", "default"): "shifted test sets and other data sets",
        ("stay", "one", "c"): "shifted test sets",
    }


def test_the_headline_groups_upgrades_by_what_to_do():
    answers = [
        Answer(pair, "", decision, "", "") for pair, decision in (("p", "keep m"), ("q", "stay on a"), ("r", "keep m"))
    ]
    assert headline(answers) == "p and r: keep m. q: stay on a."
    assert headline([]) == "There are no results."
