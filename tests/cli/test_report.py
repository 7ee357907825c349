"""``report``: mistakes, and results whose methods are described elsewhere. Whole reports are in ``tests/results``."""

from __future__ import annotations

from types import SimpleNamespace

import pandas as pd

from benchmark.cli import report
from benchmark.method import registry
from benchmark.results.archive import RunResults


def test_a_folder_without_results_is_one_line(cli, tmp_path):
    done = cli("report", str(tmp_path), f"--report={tmp_path}/r.html")
    assert done.status == 2
    assert str(tmp_path) in done.err
    assert done.err.count("\n") == 1
    assert not (tmp_path / "r.html").exists()


def test_methods_of_early_versions_are_described_by_those_that_are_here(tmp_path):
    table = pd.DataFrame({"method": ["coop", "vpt", "gone"]})
    own = registry.methods()["vpt"].cls.info
    run = RunResults(tmp_path, table, table, table, SimpleNamespace(), methods={"vpt": own})
    described = report._with_methods(run).methods
    assert described.keys() == {"coop", "vpt"}
    assert described["vpt"] is own
    assert described["coop"] == registry.methods()["coop"].cls.info


def test_results_that_describe_their_methods_stay_as_they_are(tmp_path):
    table = pd.DataFrame({"method": ["gone"]})
    run = RunResults(tmp_path, table, table, table, SimpleNamespace(), methods={"gone": SimpleNamespace()})
    assert report._with_methods(run) is run
