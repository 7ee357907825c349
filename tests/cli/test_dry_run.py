"""``--dry-run`` on a machine without the weights and the data."""

from __future__ import annotations

from fixtures.command import run


def test_the_papers_experiment_is_planned_before_anything_is_there(tmp_path):
    options = [f"--data-root={tmp_path}", f"--out={tmp_path}/out", "--methods=coop", "--protocols=base-to-new,domain"]
    done = run("--dry-run", "--upgrade-pairs=pairs/paper.yaml", *options, "--seeds=1")
    assert done.status == 0, done.err
    assert "dataset 'imagenet' (145 GB)" in done.err, "what is missing is listed all the same"
    assert "weights of backbone 'eva02-l14'" in done.err
    assert "cells: 240: 96 trainings and 144 evaluations" in done.out
    assert "GPU-hours" in done.out
    assert "imagenet " in done.out
    assert not (tmp_path / "out/cells").exists()


def test_where_no_size_is_known_it_says_what_is_missing(tmp_path):
    """A folder of the user's own that is not there is a mistake, and there is nothing to plan."""
    file = tmp_path / "my.yaml"
    backbones = 'backbones:\n  a: {model: "bundled:v1"}\n  b: {model: "bundled:v2"}\n'
    file.write_text(f"{backbones}upgrades: [{{old: a, new: b}}]\nfolders:\n  mine: {{path: ./gone}}\ndatasets: [mine]\n")
    done = run("--dry-run", f"--upgrade-pairs={file}", f"--out={tmp_path}/out")
    assert done.status == 2
    assert done.err.strip().splitlines()[-1].startswith("error: dataset 'mine'")
