"""From the records of a session to its results: the same as what its folder has."""

from __future__ import annotations

from types import SimpleNamespace

import pandas as pd
import pytest
from fixtures.command import run
from fixtures.household import patterned, write_yaml

from benchmark.results import archive
from benchmark.results.collect import _sound_methods


def test_only_methods_whose_trainings_all_ended_well_are_tested():
    statuses = {"good": ["ok", "ok"], "narrow": ["ok", "incompatible"], "bad": ["ok", "killed"], "new": [None]}
    records = {f"{method}{i}": status for method, several in statuses.items() for i, status in enumerate(several)}
    jobs = [
        SimpleNamespace(train=SimpleNamespace(key=key, configuration=SimpleNamespace(method=key[:-1]))) for key in records
    ]
    runs = pd.DataFrame([(key, status) for key, status in records.items() if status], columns=["key", "status"])
    assert _sound_methods(SimpleNamespace(jobs=jobs), runs) == ["good", "narrow"]


@pytest.fixture(scope="module")
def collected(tmp_path_factory, backbone_folders):
    """(what a run collected, its folder)."""
    root, seen = tmp_path_factory.mktemp("collect"), []
    folders = {name: backbone_folders[name] for name in ("native", "eva")}
    file = write_yaml(root / "pairs.yaml", folders, patterned(root / "data"), methods=["zero-shot", "coop"], seeds=[1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "benchmark.report.write", lambda page, results, *_, **__: seen.append(results) or SimpleNamespace(answers=())
        )
        options = [f"--out={root}/out", f"--report={root}/r.html", "--workers=0", "--device=cpu", "--set=coop.steps=2"]
        done = run("run", f"--upgrade-pairs={file}", *options)
    assert done.status == 0, done.err
    return seen[0], root / "out"


def test_the_folder_holds_what_was_collected(collected):
    run_results, folder = collected
    again = archive.read(folder)
    assert again.about == run_results.about
    assert again.datasets == run_results.datasets
    assert again.methods == run_results.methods
    pd.testing.assert_frame_equal(again.results, run_results.results, check_dtype=False)
    assert len(again.runs) == len(run_results.runs)
    assert again.lost == run_results.lost


def test_it_names_what_it_ran(collected):
    run_results, _ = collected
    assert set(run_results.methods) == {"zero-shot", "coop"}
    assert run_results.about.zero_shot == "zero-shot"
    assert [capability.name for capability in run_results.about.capabilities] == ["coop"], "the baseline learns nothing"
    assert set(run_results.results.strategy) == {"old", "reuse", "retrain"}
    assert {"accuracy", "ece", "negative_flip", "mean_per_class_accuracy"} <= set(run_results.results.metric)


def test_it_has_the_images_that_modules_lose(collected):
    """As many as the negative flips of the only method; the data set is the user's own."""
    run_results, _ = collected
    rows = run_results.results
    rows = rows[(rows.method == "coop") & (rows.metric == "negative_flip") & rows.split.isin(["base", "new"])]
    flips = (rows.value * rows.n / 100).groupby(rows.pair).sum().round()
    assert {pair: lost.count for pair, lost in run_results.lost.items()} == {p: n for p, n in flips.items() if n}
    assert run_results.lost, "there must be one"
