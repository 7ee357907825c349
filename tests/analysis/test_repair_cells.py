"""Repairs as part of the main job: what is planned, computed and shown."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from benchmark.analysis import repair_base, repair_cells
from benchmark.analysis.repair_base import all_repairs
from benchmark.analysis.repair_cells import planned, planned_repairs
from benchmark.config.errors import UserError
from benchmark.experiment import worker
from benchmark.training import modules


def test_names_become_what_a_plan_knows():
    both, offset = planned_repairs(["logit-offset", "both"])
    assert (both.strategy, both.title, both.keeps_old) == ("repair:both", "both backbones", True)
    assert offset.name == "logit-offset"
    assert planned_repairs(["none"]) == ()
    assert not planned(next(repair for repair in all_repairs() if repair.name == "procrustes")).keeps_old
    with pytest.raises(UserError, match="did you mean 'both'"):
        planned_repairs(["boht"])
    every = [repair.name for repair in planned_repairs(["all"])]
    assert "both" in every
    assert not {"both-zero-shot", "unchanged"} & set(every), "a control is no way to use a module"
    with pytest.raises(UserError, match="both-zero-shot is a control"):
        planned_repairs(["both", "both-zero-shot"])


MATRIX = ("--upgrade-pairs=pairs.yaml", "--methods=coop,clip-adapter,clip-lora-text")
MATRIX += tuple(f"--set={method}.steps=2" for method in ("coop", "clip-adapter", "clip-lora-text"))


def test_a_run_measures_repairs_and_answers_with_them(world, tmp_path):
    """The cells are those of the analysis of repairs, under every protocol; the baseline has none."""
    given = (*MATRIX, f"--out={tmp_path}/out", "--workers=0", f"--report={tmp_path}/page.html", "--seeds=1,2")
    plain = world.call(*given, "--repairs=none")
    assert plain.status == 0, plain.err
    before = pd.read_csv(tmp_path / "out" / "results.csv")
    done = world.call(*given, "--repairs=both,procrustes")
    assert done.status == 0, done.err
    table = pd.read_csv(tmp_path / "out" / "results.csv")
    repaired = table[table.strategy.str.startswith("repair:")]
    assert set(repaired.strategy) == {"repair:both", "repair:procrustes"}
    assert set(repaired.protocol) == {"base-to-new", "domain"} == set(table.protocol)
    assert set(repaired[repaired.protocol == "domain"].test_set.fillna("")) == set(before.test_set.fillna(""))
    assert set(repaired[repaired.strategy == "repair:both"].method) == {"coop", "clip-adapter", "clip-lora-text"}
    assert set(repaired[repaired.strategy == "repair:procrustes"].method) == {"coop", "clip-adapter"}
    pd.testing.assert_frame_equal(table[~table.strategy.str.startswith("repair:")].reset_index(drop=True), before)
    about = json.loads((tmp_path / "out" / "run.json").read_text())["about"]
    assert [repair["strategy"] for repair in about["repairs"]] == ["repair:procrustes", "repair:both"]
    tables = world.call("report", f"{tmp_path}/out", f"--report={tmp_path}/only.html", "--tables=paper")
    assert tables.status == 0, tables.err
    assert "6 files in" in tables.err
    assert not (tmp_path / "only.html").exists()
    for file in (tmp_path / "only" / "tables").iterdir():
        assert file.read_bytes() == (tmp_path / "page" / "tables" / file.name).read_bytes()
    page = (tmp_path / "page.html").read_text()
    assert "both backbones" in page
    assert "were not measured" not in page
    records = [json.loads(file.read_text()) for file in (tmp_path / "out" / "cells").glob("*/*/record.json")]
    both = [record for record in records if record["config"].get("strategy") == "both"]
    values = sorted(round(value, 4) for record in both for value in record["accuracy"].values())
    rows = repaired[(repaired.strategy == "repair:both") & (repaired.split != "H")]
    assert sorted(rows.value.round(4)) == pytest.approx(values, abs=1e-3)


def test_a_mistyped_repair_is_one_line(world, tmp_path):
    done = world.call(*MATRIX, f"--out={tmp_path}/out", "--repairs=boht")
    assert done.status == 2
    assert "repairs: boht: no such repair (fix: did you mean 'both'?; or all, or none)" in done.err
    assert "Traceback" not in done.err


def test_the_module_is_scored_on_its_own_backbone_once(world, tmp_path, monkeypatch):
    """For all new backbones and repairs; the records are those of cells that share nothing."""
    given = ("--upgrade-pairs=wide.yaml", "--methods=clip-lora-vision", "--set=clip-lora-vision.steps=2", "--workers=0")
    given += ("--protocols=base-to-new", "--seeds=1", "--no-report", "--repairs=both,logit-offset")
    counted, original = [], modules.scorer_of

    def count(module, backbone, *args, **more):
        scorer = original(module, backbone, *args, **more)
        return lambda test: counted.append((bool(module.tensors), backbone.name, test.key)) or scorer(test)

    monkeypatch.setattr(repair_base, "scorer_of", count)
    monkeypatch.setattr(worker, "scorer_of", count)
    done = world.call(*given, f"--out={tmp_path}/shared")
    assert done.status == 0, done.err
    kept = [scored for scored in counted if scored[0] and scored[1] == "native"]
    assert len(kept) == len(set(kept)) > 0
    monkeypatch.setattr(repair_cells, "Case", lambda *parts: repair_base.Case(*parts[:7]))  # nothing is shared
    monkeypatch.setattr(worker, "remembered", lambda known, scorer, whose: scorer)
    done = world.call(*given, f"--out={tmp_path}/apart")
    assert done.status == 0, done.err
    tables = [(tmp_path / out / "results.csv").read_bytes() for out in ("shared", "apart")]
    assert tables[0] == tables[1]
