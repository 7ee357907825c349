"""The whole table of a finished run."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
from fixtures.command import run
from fixtures.results import made_up_results, made_up_run

from benchmark.results import tables
from benchmark.results.archive import save


def test_it_has_every_method_and_the_answers(tmp_path) -> None:
    runs = pd.DataFrame(columns=tables.RUN_COLUMNS)
    save(replace(made_up_run(made_up_results(), runs), folder=tmp_path))
    done = run("show", str(tmp_path))
    assert done.status == 0, done.err
    assert all(name in done.out for name in ("prompt-b", "adapter", "Toy numbers"))
    assert "v1 → v2: retrain prompt." in done.out


def test_a_folder_without_results_is_one_line(tmp_path) -> None:
    done = run("show", str(tmp_path))
    assert done.status == 2
    assert "has no finished results" in done.err
