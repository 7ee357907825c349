"""A results folder of schema 1, written by hand in its words, shows the same values as one of today."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fixtures.results import DATASETS, METHODS, PAIRS, SEEDS, cell, made_up_run

from benchmark.analysis import findings
from benchmark.analysis.base import find_analysis
from benchmark.config.errors import UserError
from benchmark.report import analysis_view, export
from benchmark.report.page import render
from benchmark.results import archive
from benchmark.results.archive import RunResults
from benchmark.results.image_covariance import COLUMNS
from benchmark.results.legacy import modern_facts, modernise

FORMER_WORDS = {"test_set": "variant", "quantity": "figure"}


def uncertainty() -> pd.DataFrame:
    names = itertools.product(("lift", "gain", "retrain_lift", "retained"), ("prompt", "adapter"), DATASETS)
    rows = [
        ("v1->v2", dataset, "base-to-new", 16, "", "H", quantity, method, "default", method, "default", 0.25, 50)
        for quantity, method, dataset in names
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


@pytest.fixture(scope="module")
def today() -> RunResults:
    """A run as this version has it, with an incompatible method and a data set that is a shift of another."""
    rng = np.random.default_rng(7)
    names = itertools.product(PAIRS, ("zero", "prompt", "adapter"), DATASETS, SEEDS, ("old", "reuse", "retrain"))
    rows = [row for name in names if name[1] != "zero" or name[4] != "retrain" for row in cell(rng, *name)]
    run = made_up_run(pd.DataFrame(rows).fillna({"reason": ""}), uncertainty=uncertainty())
    run.runs["key"] = pd.Series(dtype=str)
    shifted = replace(run.datasets["icons"], name="icons-bold", shift_of="icons")
    return replace(run, datasets={**run.datasets, "icons-bold": shifted})


@pytest.fixture(scope="module")
def folder(today: RunResults, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run as schema 1 wrote it."""
    root = tmp_path_factory.mktemp("schema-1")
    for name, table in (("results", today.results), ("runs", today.runs), ("uncertainty", today.uncertainty)):
        old = table.rename(columns=FORMER_WORDS)
        if "status" in old:
            old["status"] = old["status"].replace({"incompatible": "unfit"})
        old.to_csv(root / f"{name}.csv", index=False)
    archive.save(replace(today, folder=root / "new"))
    facts = json.loads((root / "new" / "run.json").read_text())
    assert facts["schema"] == archive.SCHEMA
    for dataset in facts["datasets"].values():
        dataset["variant_of"] = dataset.pop("shift_of")
    content = {"about": facts["about"], "datasets": facts["datasets"]}  # no schema, no methods
    (root / "run.json").write_text(json.dumps(content))
    return root


def test_it_is_written_in_former_words(folder: Path) -> None:
    text = (folder / "results.csv").read_text()
    assert "variant" in text.splitlines()[0]
    assert ",unfit," in text
    assert "variant_of" in (folder / "run.json").read_text()


def test_it_opens_with_the_words_of_today(folder: Path, today: RunResults) -> None:
    run = archive.read(folder)
    assert "variant" not in run.results
    assert set(run.results.status) == {"ok", "incompatible"}
    assert list(run.uncertainty.columns) == COLUMNS
    assert run.datasets == today.datasets
    assert run.datasets["icons-bold"].shift_of == "icons"
    assert run.methods == {}
    expected = today.results.groupby(["method", "strategy", "metric", "split"]).value.mean()
    found = run.results.groupby(["method", "strategy", "metric", "split"]).value.mean()
    pd.testing.assert_series_equal(found, expected)


def test_its_page_is_that_of_today(folder: Path, today: RunResults, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmark.report import charts

    for name in ("slopes", "heat_map"):
        monkeypatch.setattr(charts, name, lambda *_: None)
    assert render(replace(archive.read(folder), methods=METHODS)) == render(today)


def test_it_is_saved_in_the_schema_of_today(folder: Path, tmp_path: Path) -> None:
    archive.save(replace(archive.read(folder), folder=tmp_path))
    again = archive.read(tmp_path)
    assert json.loads((tmp_path / "run.json").read_text())["schema"] == archive.SCHEMA
    assert "unfit" not in (tmp_path / "results.csv").read_text()
    assert set(again.results.status) == {"ok", "incompatible"}


def test_a_folder_of_a_later_version_is_refused(folder: Path, tmp_path: Path) -> None:
    archive.save(replace(archive.read(folder), folder=tmp_path))
    content = json.loads((tmp_path / "run.json").read_text()) | {"schema": archive.SCHEMA + 1}
    (tmp_path / "run.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="written by a later version"):
        archive.read(tmp_path)


# --- findings ----------------------------------------------------------------------------------------------------------


def row_of(name: str, **change: object) -> dict[str, object]:
    analysis = find_analysis(name)
    texts = dict.fromkeys(analysis.text_columns, "") | {"pair": "v1->v2", "method": "m", "title": "M", "status": "ok"}
    return {**texts, **dict.fromkeys(analysis.number_columns, 1.5), **change}


def write(root: Path, name: str, rows: list[dict[str, object]]) -> None:
    """A finding as schema 1 wrote it."""
    facts = {"command": "c", "created": "d", "seconds": 1.0, "dataset": "icons", "title": "Icons", "seeds": [1, 2]}
    (root / "analysis").mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_csv(root / "analysis" / f"{name}-icons.csv", index=False)
    (root / "analysis" / f"{name}-icons.json").write_text(json.dumps(facts | {"device": "cpu", "warning": None}))


def test_a_repair_finding_opens(tmp_path: Path) -> None:
    labels = {"reuse": "reuse", "remap": "remap", "retrain": "retrain"}
    rows = [row_of("repair", repair=name, label=label, over_reuse=0.5) for name, label in labels.items()]
    rows.append(row_of("repair", repair="ensemble", label="ensemble with zero-shot", status="unfit", accuracy=None))
    written = [{name: value for name, value in row.items() if name not in ("keeps", "control")} for row in rows]
    write(tmp_path, "repair", [{("strategy" if key == "repair" else key): row[key] for key in row} for row in written])
    (finding,) = findings.load(tmp_path)["repair"]
    assert finding.table["repair"].tolist() == ["reuse", "procrustes", "retrain", "ensemble"]
    assert finding.table.label.tolist()[1] == "Procrustes alignment"
    assert finding.table.status.tolist()[-1] == "incompatible"
    assert finding.table.over_reuse.tolist()[1] == 0.5
    section = next(one for one in analysis_view.sections({"repair": [finding]}) if one.name == "repair")
    assert any("Procrustes alignment" in export.csv(table) for table in section.tables)
    assert not finding.table.control.any()


def test_a_snapshots_finding_is_one_of_checkpoints(tmp_path: Path) -> None:
    write(tmp_path, "snapshots", [row_of("checkpoints", way="v2", step=step, lift=step / 10) for step in (10, 20)])
    loaded = findings.load(tmp_path)
    assert set(loaded) == {"checkpoints"}
    assert loaded["checkpoints"][0].table.lift.tolist() == [1.0, 2.0]
    section = next(one for one in analysis_view.sections(loaded) if one.name == "checkpoints")
    assert [row[1] for row in section.tables[0].rows] == ["10", "20"]


def test_a_finding_of_today_replaces_one_under_a_former_name(tmp_path: Path) -> None:
    write(tmp_path, "snapshots", [row_of("checkpoints", way="v2", step=10, lift=1.0)])
    write(tmp_path, "checkpoints", [row_of("checkpoints", way="v2", step=10, lift=7.0)])
    (finding,) = findings.load(tmp_path)["checkpoints"]
    assert finding.table.lift.tolist() == [7.0]


def test_tables_of_today_are_left_alone() -> None:
    table = pd.DataFrame({"test_set": ["x"], "quantity": ["lift"], "status": ["ok"], "repair": ["ridge"], "label": ["r"]})
    pd.testing.assert_frame_equal(modernise(table), table)
    facts = {"datasets": {"a": {"shift_of": "b"}}}
    assert modern_facts(facts) == {"datasets": {"a": {"shift_of": "b"}}}
