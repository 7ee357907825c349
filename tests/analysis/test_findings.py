"""What analyses leave in a results folder."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from benchmark.analysis.findings import Finding, Provenance, load, merge, save
from benchmark.config.errors import UserError


@pytest.mark.parametrize("damage", ["no json", "torn"])
def test_a_broken_finding_is_one_line(tmp_path: Path, damage: str) -> None:
    table = pd.DataFrame(
        [("a->b", "text", 0, "input", "cka", 0.5, 8)], columns="pair tower order stage metric value n".split()
    )
    file = save(tmp_path, "drift", Finding(table, Provenance("c", "d", 1.0, "icons", "Icons", (1,), "cpu"))).with_suffix(
        ".json"
    )
    file.unlink() if damage == "no json" else file.write_text("{")
    with pytest.raises(UserError, match=r"drift-icons\.csv cannot be read.*run 'analyse drift' again"):
        load(tmp_path)


TABLE = pd.DataFrame([("a->b", "text", 0, "input", "cka", 0.5, 8)], columns="pair tower order stage metric value n".split())


def finding(dataset: str) -> Finding:
    return Finding(TABLE, Provenance("c", "d", 1.0, dataset, dataset.title(), (1, 2), "cpu", "toy"))


def test_a_finding_is_read_as_it_was_saved(tmp_path: Path) -> None:
    file = save(tmp_path, "drift", finding("icons"))
    assert file == tmp_path / "analysis" / "drift-icons.csv"
    (loaded,) = load(tmp_path)["drift"]
    assert loaded.provenance == replace(finding("icons").provenance, table=loaded.provenance.table)
    pd.testing.assert_frame_equal(loaded.table, TABLE)
    assert load(tmp_path / "elsewhere") == {}


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    file = save(tmp_path, "drift", finding("icons"))
    TABLE.drop(columns="value").to_csv(file, index=False)
    with pytest.raises(UserError, match="is damaged or was edited"):
        load(tmp_path)
    facts = json.loads(file.with_suffix(".json").read_text())
    file.with_suffix(".json").write_text(json.dumps(facts | {"table": ""}))  # as earlier versions wrote it
    with pytest.raises(UserError, match="no column 'value'"):
        load(tmp_path)


def test_folders_are_merged_unless_they_have_the_same_analysis(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    merged = merge({one: {"drift": [finding("icons")]}, other: {"drift": [finding("digits")]}})
    assert [each.provenance.dataset for each in merged["drift"]] == ["icons", "digits"]
    with pytest.raises(UserError, match="both have the analysis 'drift' of icons"):
        merge({one: {"drift": [finding("icons")]}, other: {"drift": [finding("icons")]}})
