"""The analyses from the command line, on tiny CLIPs and a folder of images; much of what an identity upgrade must give is
known beforehand."""

from __future__ import annotations

import importlib
import json
import math

import pandas as pd
import pytest
from fixtures.household import IDENTITY, NAMES, NARROWER, UPGRADE, patterned, run, write_yaml

from benchmark.analysis import findings
from benchmark.analysis.findings import ANALYSES
from benchmark.training.checks import tiny_clips

SEEDS, SHOTS, HELD_OUT, BASE = 2, 2, 1, 3
STEPS = {"coop": 32, "clip-adapter": 150}
"""Of the preset "small"."""


class World:
    """A folder with a YAML and results; every analysis is run once, when it is first asked for."""

    def __init__(self, root, backbones):
        self.out, self.snapshots = root / "results", root / "snapshots"
        data = patterned(root / "data", val=HELD_OUT)
        self.yaml = write_yaml(root / "pairs.yaml", backbones, data, new=("native", "eva", "narrow"))
        for seed, (name, layout) in enumerate({"v2-00010": "native", "v2-00100": "native", "v3-00010": "eva"}.items()):
            tiny_clips.write(self.snapshots / name, tiny_clips.CONFIGS[layout], seed=20 + seed)
        (self.snapshots / "v2-00200").mkdir()  # an export that was interrupted
        (self.snapshots / "notes").mkdir()
        self.made = {}

    def analyse(self, name, *more):
        extra = [f"--snapshots={self.snapshots}"] if name == "snapshots" else []
        given = [f"--upgrade-pairs={self.yaml}", f"--out={self.out}", "--workers=0", "--device=cpu", *extra, *more]
        return run("analyse", name, *given)

    def first(self, name):
        """What the first run of an analysis printed."""
        if name not in self.made:
            self.made[name] = self.analyse(name, *(["--methods=layer-prompt,clip-lora"] if name == "depth" else []))
            assert self.made[name].status == 0, self.made[name].err
        return self.made[name]

    def table(self, name):
        self.first(name)
        return findings.load(self.out)[name][0].table

    def cells(self):
        """Every file of every cell, with the time when it was written."""
        return {file: file.stat().st_mtime_ns for file in self.out.glob("cells/*/*/*")}


@pytest.fixture(scope="module")
def world(tmp_path_factory, backbone_folders):
    return World(tmp_path_factory.mktemp("analyse"), {n: backbone_folders[n] for n in ("native", "eva", "narrow")})


def only(table, **wanted):
    """The rows that have these values."""
    for name, value in wanted.items():
        table = table[table[name] == value]
    assert len(table), wanted
    return table


@pytest.mark.parametrize("name", ANALYSES)
def test_it_leaves_a_table_and_how_it_was_made(world, name):
    done = world.first(name)
    table, module = world.table(name), importlib.import_module(f"benchmark.analysis.{ANALYSES[name][0]}")
    assert list(table.columns) == list(module.COLUMNS)
    assert len(table)
    told = json.loads((world.out / "analysis" / f"{name}-squares.json").read_text())
    assert (told["dataset"], told["seeds"], told["device"]) == ("squares", [1, 2], "cpu")
    assert str(world.out / "analysis" / f"{name}-squares.csv") in done.out
    assert "Traceback" not in done.err
    assert name in findings.load(world.out)


@pytest.mark.parametrize("name", ANALYSES)
def test_a_second_run_computes_nothing_and_finds_the_same(world, name):
    first, before = world.table(name), world.cells()
    again = world.analyse(name, *(["--methods=layer-prompt,clip-lora"] if name == "depth" else []))
    assert again.status == 0, again.err
    assert "cells to do" not in again.err
    assert world.cells() == before
    pd.testing.assert_frame_equal(world.table(name), first)


# --- drift ---------------------------------------------------------------------------------------------------------


def test_nothing_drifts_in_an_identity_upgrade(world):
    rows = only(world.table("drift"), pair=IDENTITY)
    assert (only(rows, metric="change").value == 0).all()
    for metric in ("cka", "cosine"):
        assert only(rows, metric=metric).value.tolist() == pytest.approx([1.0] * (len(rows) // 3 + 1), abs=1e-6)


def test_every_stage_of_both_towers_has_its_rows(world):
    rows = only(world.table("drift"), pair=UPGRADE, metric="cka")
    stages = ["input", "block 1", "block 2", "output"]
    assert only(rows, tower="text").stage.tolist() == [*stages, "class names"]
    assert only(rows, tower="vision").stage.tolist() == stages
    assert set(only(rows, tower="text").n) == {len(NAMES)}
    assert set(only(rows, tower="vision").n) == {BASE * 8}


def test_some_upgrades_can_be_chosen(world, tmp_path):
    """With an arrow as people type it, or as reports print it."""
    done = world.analyse("drift", "--pairs=native → eva", f"--out={tmp_path}")
    assert done.status == 0, done.err
    assert set(pd.read_csv(tmp_path / "analysis" / "drift-squares.csv").pair) == {UPGRADE}


# --- depth ---------------------------------------------------------------------------------------------------------


def test_depth_has_every_layer_and_an_identity_upgrade_changes_nothing_at_any(world):
    table = world.table("depth")
    probe = only(table, method="layer-prompt", pair=IDENTITY)
    assert probe.place.tolist() == ["layer 0", "layer 1"]
    assert probe.order.tolist() == [0, 1]
    same = only(table, pair=IDENTITY)
    assert (same.old == same.reuse).all()
    assert same.change.abs().max() < 1e-9
    other = only(table, pair=UPGRADE, method="layer-prompt")
    change = (other.reuse.astype(float) - other.zs_new.astype(float)) - (
        other.old.astype(float) - other.zs_old.astype(float)
    )
    assert other.change.tolist() == pytest.approx(change.tolist())
    assert (other.old == probe.old.to_numpy()).all(), "one module of the old backbone serves all upgrades"


def test_what_does_not_fit_says_so(world):
    """LoRA in both towers: the new image tower is wider."""
    rows = only(world.table("depth"), pair=UPGRADE, method="clip-lora")
    assert set(rows.status) == {"incompatible"}
    assert rows.reason.str.contains("must be").all()
    assert rows[["reuse", "lift", "change", "change_low"]].isna().all(axis=None)
    assert rows.old.notna().all()


# --- repair --------------------------------------------------------------------------------------------------------


def test_repairs_of_an_identity_upgrade_have_nothing_to_repair(world):
    same = only(world.table("repair"), pair=IDENTITY)
    for strategy in ("reuse", "retrain", "remap"):
        rows = only(same, strategy=strategy)
        assert set(rows.method) == set(STEPS)
        over = rows[["over_reuse", "over_reuse_low", "over_reuse_high"]].to_numpy()
        if strategy == "remap":  # through a map that is the identity but for rounding
            assert over == pytest.approx(0, abs=1e-6)
        else:
            assert (over == 0).all(), strategy
    for name in STEPS:
        reuse, retrain = (only(same, strategy=s, method=name).accuracy.item() for s in ("reuse", "retrain"))
        assert reuse == retrain


def test_every_strategy_costs_what_it_says(world):
    table = only(world.table("repair"), pair=UPGRADE)
    training = BASE * SHOTS
    costs = {
        "reuse": (0, 0, 0),
        "remap": (0, 0, 0),
        "ensemble": (BASE * HELD_OUT, BASE * HELD_OUT, 0),
        "warm-start-5": (training, training, 5),
        "scratch-5": (training, training, 5),
        "warm-start-20": (training, training, 20),
    }
    for strategy, expected in costs.items():
        for row in only(table, strategy=strategy).itertuples():
            assert (row.images, row.labels, row.steps) == expected, (strategy, row.method)
    for name, steps in STEPS.items():
        row = only(table, strategy="retrain", method=name).iloc[0]
        assert (row.images, row.labels, row.steps) == (training, training, steps)
    assert set(only(table, strategy="warm-start-100").method) == {"clip-adapter"}, "CoOp's whole training is shorter"
    assert (table.seeds == SEEDS).all()
    assert (only(table, strategy="reuse").seconds == 0).all()
    assert (only(table, strategy="retrain").seconds > 0).all()


def test_a_repair_is_its_accuracy_less_that_of_reuse_and_of_zero_shot(world):
    table = world.table("repair")
    rows = table[(table.pair != NARROWER)]
    over, lift = rows.accuracy - rows.reuse, rows.accuracy - rows.zs_new
    assert rows.over_reuse.tolist() == pytest.approx(over.tolist())
    assert rows.lift.tolist() == pytest.approx(lift.tolist())
    assert (rows.over_reuse_low <= rows.over_reuse + 1e-9).all()


def test_what_does_not_fit_has_its_reason_and_its_scratch_training(world):
    """CLIP-Adapter's hidden layer is a quarter of the width: no map between spaces makes it narrower."""
    table = only(world.table("repair"), pair=NARROWER, method="clip-adapter")
    for strategy in ("reuse", "remap", "ensemble", "warm-start-5"):
        row = only(table, strategy=strategy).iloc[0]
        assert row.status == "incompatible", strategy
        assert "must be" in row.reason
        assert math.isnan(row.accuracy)
    scratch = only(table, strategy="scratch-5").iloc[0]
    assert scratch.status == "ok"
    assert math.isnan(scratch.over_reuse), "there is no reuse to compare with"


def test_a_map_makes_a_module_fit_another_width(tmp_path, backbone_folders):
    """CoOp's context has the width of the text tower, 32 before and 48 after."""
    table = small_repair(tmp_path, backbone_folders, "coop", "wide")
    reuse, remap = (only(table, strategy=strategy).iloc[0] for strategy in ("reuse", "remap"))
    assert (reuse.status, remap.status) == ("incompatible", "ok")
    assert 0 <= remap.accuracy <= 100
    assert math.isnan(remap.over_reuse)
    assert only(table, strategy="warm-start-5").iloc[0].status == "incompatible"


def small_repair(folder, backbones, method, new, **images):
    """The table of repairs of one method and seed on one upgrade, in a world of its own."""
    data = patterned(folder / "data", **images)
    file = write_yaml(folder / "pairs.yaml", backbones, data, new=(new,), methods=[method], seeds=[1])
    done = run("analyse", "repair", f"--upgrade-pairs={file}", f"--out={folder}/out", "--workers=0", "--device=cpu")
    assert done.status == 0, done.err
    return findings.load(folder / "out")["repair"][0].table


def test_without_held_out_images_half_is_zero_shots(tmp_path, backbone_folders):
    """There is nothing to choose the share by, and nothing that it costs."""
    table = small_repair(tmp_path, backbone_folders, "clip-adapter", "eva", val=0, test=4)
    row = only(table, strategy="ensemble").iloc[0]
    assert (row.status, row.images, row.labels, row.steps) == ("ok", 0, 0, 0)
    assert math.isnan(row.lift_low), "one seed has no interval"
    records = [json.loads(file.read_text()) for file in (tmp_path / "out").glob("cells/*/*/record.json")]
    shares = {each["zero_shot_share"] for each in records if each["config"].get("strategy") == "ensemble"}
    assert shares == {0.5}


# --- break-even ----------------------------------------------------------------------------------------------------


def test_the_full_budget_of_an_identity_upgrade_equals_reuse(world):
    rows = only(world.table("break-even"), pair=IDENTITY, full=True)
    assert set(zip(rows.method, rows.budget, rows.amount, strict=True)) == {
        *((name, "steps", steps) for name, steps in STEPS.items()),
        *((name, "shots", SHOTS) for name in STEPS),
    }
    assert (rows[["over_reuse", "over_reuse_low", "over_reuse_high"]] == 0).all(axis=None)


def test_no_budget_is_zero_shot_and_budgets_grow_to_the_whole(world):
    table = only(world.table("break-even"), pair=UPGRADE)
    nothing = only(table, amount=0)
    assert (nothing.accuracy == nothing.zs_new).all()
    for name, steps in STEPS.items():
        tried = only(table, method=name, budget="steps").amount.tolist()
        assert tried == [0, *(count for count in (5, 20, 100) if count < steps), steps]
        assert only(table, method=name, budget="shots").amount.tolist() == [0, 1, SHOTS]
    ends = [only(table, method="coop", budget=budget, full=True).accuracy.item() for budget in ("steps", "shots")]
    assert ends[0] == ends[1], "both are the same retraining"


def test_analyses_agree_on_the_figures_that_they_share(world):
    """Reuse and retraining are the same cells whoever asks for them."""
    repair, even = world.table("repair"), only(world.table("break-even"), budget="shots", full=True)
    for row in even.itertuples():
        each = only(repair, pair=row.pair, method=row.method, strategy="retrain").iloc[0]
        mine, theirs = (each.accuracy, each.reuse, each.zs_new), (row.accuracy, row.reuse, row.zs_new)
        assert mine == pytest.approx(theirs, abs=0, rel=0, nan_ok=True)


# --- snapshots -----------------------------------------------------------------------------------------------------


def test_snapshots_have_their_way_and_step(world):
    table = world.table("snapshots")
    found = table[["pair", "way", "step"]].drop_duplicates().values.tolist()
    assert found == [["native->v2-00010", "v2", 10], ["native->v2-00100", "v2", 100], ["native->v3-00010", "v3", 10]]
    assert set(table.method) == set(STEPS)
    assert (table.status == "ok").all()
    for _, rows in table.groupby("pair"):  # drift is the backbone's, not the method's
        assert len(rows[["text_change", "text_cka", "image_cka", "zs_new"]].drop_duplicates()) == 1
    assert (table.text_change > 0).all()
    reuse = only(world.table("repair"), pair=IDENTITY, strategy="reuse").set_index("method").accuracy
    assert (only(table, step=10).set_index("method").old == reuse[only(table, step=10).method].to_numpy()).all()


# --- mistakes ------------------------------------------------------------------------------------------------------

MISTAKES = {
    "unknown pair": (("drift", "--pairs=native->evva"), "not an upgrade", "did you mean 'native->eva'"),
    "unknown data set": (("drift", "--dataset=square"), "'square'", "did you mean 'squares'"),
    "a shifted test set": (("repair", "--dataset=icon-objects-remix"), "no training images", "name 'icon-objects'"),
    "unknown method": (("repair", "--methods=cop"), "'cop'", "did you mean 'coop'"),
    "no depth": (("depth", "--methods=coop"), "has a setting for its depth", "layer-prompt"),
    "seeds": (("break-even", "--seeds=1,two"), "not a list of whole numbers", "write 1,2,3"),
    "a seed twice": (("break-even", "--seeds=1,1"), "given twice", "you gave"),
    "workers": (("drift", "--workers=-1"), "not a whole number", "leave it out"),
    "no snapshots": (("snapshots", "--snapshots=/nowhere/at-all"), "no snapshots in", "pretraining snapshots"),
    "no such file": (("drift", "--upgrade-pairs=/nowhere/pairs.yaml"), "no such file", "--upgrade-pairs"),
    "half precision": (("repair", "--precision=bf16"), "needs a GPU", "leave it out"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_with_a_fix(world, tmp_path, mistake):
    (name, *given), what, fix = MISTAKES[mistake]
    done = world.analyse(name, f"--out={tmp_path}/out", *given)
    assert done.status == 2
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1, done.err
    assert what in done.err
    assert "(fix: " in done.err
    assert fix in done.err.partition("(fix: ")[2]
    assert not (tmp_path / "out" / "analysis").exists()


def test_an_unknown_analysis_is_refused(world):
    done = world.analyse("drfit")
    assert done.status == 2
    assert "invalid choice" in done.err
