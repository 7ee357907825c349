"""Break-even: the full budget and no budget are known beforehand."""

from __future__ import annotations

from fixtures.analyses import SHOTS, STEPS, only
from fixtures.household import IDENTITY, UPGRADE


def test_the_full_budget_of_an_identity_upgrade_equals_reuse(household):
    rows = only(household.table("break-even"), pair=IDENTITY, full=True)
    assert set(zip(rows.method, rows.budget, rows.amount, strict=True)) == {
        *((name, "steps", steps) for name, steps in STEPS.items()),
        *((name, "shots", SHOTS) for name in STEPS),
    }
    assert (rows[["over_reuse", "over_reuse_low", "over_reuse_high"]] == 0).all(axis=None)


def test_no_budget_is_zero_shot_and_budgets_grow_to_the_whole(household):
    table = only(household.table("break-even"), pair=UPGRADE)
    nothing = only(table, amount=0)
    assert (nothing.accuracy == nothing.zs_new).all()
    for name, steps in STEPS.items():
        tried = only(table, method=name, budget="steps").amount.tolist()
        assert tried == [0, *(count for count in (5, 20, 100) if count < steps), steps]
        assert only(table, method=name, budget="shots").amount.tolist() == [0, 1, SHOTS]
    ends = [only(table, method="coop", budget=budget, full=True).accuracy.item() for budget in ("steps", "shots")]
    assert ends[0] == ends[1], "both are the same retraining"
