"""The registry of repairs."""

from __future__ import annotations

from benchmark.analysis.repair_base import Case, Repair, Repaired, all_repairs
from benchmark.training.modules import Module


def test_repairs_are_listed_cheapest_first_under_names_of_their_own():
    names = [repair.name for repair in all_repairs()]
    assert names[:2] == ["procrustes", "ridge"]
    assert {"ensemble", "scaled", "joint-offset", "feature-rotation", "transmiter", "transport", "both"} <= set(names)
    assert names[-3:] == ["both-weighted", "both-zero-shot", "logit-offset"]
    efforts = [type(repair).effort for repair in all_repairs()]
    assert efforts == sorted(efforts)
    assert len({repair.title for repair in all_repairs()}) == len(names)


def test_a_repair_needs_only_its_name_and_what_it_does():
    class Nothing(Repair):
        name, title, effort = "nothing", "nothing at all", 99

        def apply(self, case: Case) -> Repaired:
            return Repaired(case.kept)

    (repair,) = Nothing.instances()
    assert (repair.name, repair.steps, repair.version) == ("nothing", 0, 1)
    assert repair.incompatibility(Module(None, None, {})) is None  # type: ignore[arg-type]
    assert (repair.keeps, repair.control) == ("", False)
