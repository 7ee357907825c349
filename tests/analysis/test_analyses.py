"""What all analyses have in common, from the command line, on tiny CLIPs and a folder of images."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from fixtures.analyses import only
from fixtures.household import UPGRADE

from benchmark.analysis import findings
from benchmark.analysis.base import all_analyses


@pytest.mark.parametrize("name", all_analyses())
def test_it_leaves_a_table_and_how_it_was_made(household, name):
    done = household.first(name)
    table = household.table(name)
    assert list(table.columns) == all_analyses()[name].columns
    assert len(table)
    told = json.loads((household.out / "analysis" / f"{name}-squares.json").read_text())
    assert (told["dataset"], told["seeds"], told["device"]) == ("squares", [1, 2], "cpu")
    assert str(household.out / "analysis" / f"{name}-squares.csv") in done.out
    assert "Traceback" not in done.err
    assert name in findings.load(household.out)


@pytest.mark.slow
@pytest.mark.parametrize("name", all_analyses())
def test_a_second_run_computes_nothing_and_finds_the_same(household, name):
    first, before = household.table(name), household.cells()
    again = household.again(name)
    assert again.status == 0, again.err
    assert "cells to do" not in again.err
    assert household.cells() == before
    pd.testing.assert_frame_equal(household.table(name), first)


def test_analyses_agree_on_the_values_that_they_share(household):
    """Reuse and retraining are the same cells whoever asks for them."""
    repair, even = household.table("repair"), only(household.table("break-even"), budget="shots", full=True)
    for row in even.itertuples():
        each = only(repair, pair=row.pair, method=row.method, repair="retrain").iloc[0]
        mine, theirs = (each.accuracy, each.reuse, each.zs_new), (row.accuracy, row.reuse, row.zs_new)
        assert mine == pytest.approx(theirs, abs=0, rel=0, nan_ok=True)


def test_some_upgrades_can_be_chosen(household, tmp_path):
    """With an arrow as people type it, or as reports print it."""
    done = household.analyse("drift", "--pairs=native → eva", f"--out={tmp_path}")
    assert done.status == 0, done.err
    assert set(pd.read_csv(tmp_path / "analysis" / "drift-squares.csv").pair) == {UPGRADE}


MISTAKES = {
    "unknown pair": (("drift", "--pairs=native->evva"), "not an upgrade", "did you mean 'native->eva'"),
    "unknown data set": (("drift", "--dataset=square"), "'square'", "did you mean 'squares'"),
    "a shifted test set": (("repair", "--dataset=icon-objects-remix"), "no training images", "name 'icon-objects'"),
    "unknown method": (("repair", "--methods=cop"), "'cop'", "did you mean 'coop'"),
    "no depth": (("depth", "--methods=coop"), "has a setting for its depth", "layer-prompt"),
    "seeds": (("break-even", "--seeds=1,two"), "not a list of integers, such as 1,2,3", "--help lists the options"),
    "a seed twice": (("break-even", "--seeds=1,1"), "given twice", "you gave"),
    "workers": (("drift", "--workers=-1"), "not a non-negative integer", "--help lists the options"),
    "no checkpoints": (("checkpoints", "--set=folder=/nowhere/at-all"), "no checkpoints in", "pretraining checkpoints"),
    "no such file": (("drift", "--upgrade-pairs=/nowhere/pairs.yaml"), "no such file", "--upgrade-pairs"),
    "half precision": (("repair", "--precision=bf16"), "needs a GPU", "leave it out"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_with_a_fix(household, tmp_path, mistake):
    (name, *given), what, fix = MISTAKES[mistake]
    done = household.analyse(name, f"--out={tmp_path}/out", *given)
    assert done.status == 2
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1, done.err
    assert what in done.err
    assert "(fix: " in done.err
    assert fix in done.err.partition("(fix: ")[2]
    assert not (tmp_path / "out" / "analysis").exists()


def test_an_unknown_analysis_is_refused(household):
    done = household.analyse("drfit")
    assert done.status == 2
    assert "invalid choice" in done.err
