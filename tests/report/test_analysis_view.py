"""The sections of the analyses."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
from fixtures.results import (
    made_up_run,
)

from benchmark.analysis.base import all_analyses
from benchmark.analysis.findings import Finding, Provenance, load, merge, save
from benchmark.config.errors import UserError
from benchmark.report import analysis_view, export
from benchmark.report.page import render
from benchmark.results.summary import COLUMNS


def test_an_analysis_that_was_not_run_says_how() -> None:
    found = analysis_view.sections({})
    assert [view.name for view in found] == list(all_analyses())
    assert all(view.command == f"clip-compat analyse {view.name}" for view in found)
    assert not any(view.provenance for view in found)
    (first, *_) = analysis_view.sections({}, "python run_benchmark.py --upgrade-pairs=mine.yaml --seeds 1")
    assert first.command == f"python run_benchmark.py analyse {first.name} --upgrade-pairs mine.yaml"


def test_findings_of_two_data_sets_stand_side_by_side(tmp_path: Path) -> None:
    table = pd.DataFrame(
        [("a->b", "text", 0, "input", "cka", 0.5, 8)], columns="pair tower order stage metric value n".split()
    )
    for name in ("icons", "digits"):
        save(tmp_path / "one", "drift", Finding(table, Provenance("c", "d", 1.0, name, name.title(), (1,), "cpu")))
    found = load(tmp_path / "one")
    views = [view for view in analysis_view.sections(found) if view.name == "drift"]
    assert [view.title for view in views] == ["Drift of the backbone: Digits", "Drift of the backbone: Icons"]
    assert [view.anchor for view in views] == ["drift", "drift-icons"]
    names = [figure.name for view in views for figure in view.figures]
    assert len(names) == len(set(names)) == 2
    text = render(made_up_run(pd.DataFrame(columns=COLUMNS)), found)
    ids = re.findall(r'id="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    with pytest.raises(UserError, match="both have the analysis 'drift' of digits"):
        merge({tmp_path / "one": found, tmp_path / "two": found})


def test_an_analysis_without_a_view_is_shown_as_its_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analysis_view, "all_views", dict)
    table = pd.DataFrame({"pair": ["a->b"], "value": [-0.125], "n": [8], "full": [True]})
    finding = Finding(table, Provenance("c", "d", 1.0, "icons", "Icons", (1,), "cpu"))
    section = next(one for one in analysis_view.sections({"drift": [finding]}) if one.name == "drift")
    assert (section.findings, section.figures) == ((), ())
    (shown,) = section.tables
    assert shown.header() == ["pair", "value", "n", "full"]
    assert export.csv(shown).splitlines()[1] == "a->b,-0.12,8,True"
    text = render(made_up_run(pd.DataFrame(columns=COLUMNS)), {"drift": [finding]})
    assert "<td>a → b</td>" in text
    assert ">8</td>" in text


def test_every_view_belongs_to_an_analysis() -> None:
    assert set(analysis_view.all_views()) <= set(all_analyses())
