"""The report from finished results: the same page again, several folders as one, and what cannot be one."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from fixtures.lost import lost_class, lost_images, picture
from fixtures.results import made_up_results, made_up_run

from benchmark.config.errors import UserError
from benchmark.results.archive import GALLERY, merge, read, save
from benchmark.results.tables import RUN_COLUMNS

SETTINGS = ["--device=cpu", "--workers=0", "--datasets=toy", "--protocols=base-to-new"]


@pytest.fixture(scope="module")
def finished(world, tmp_path_factory) -> dict[str, Path]:
    """Three results folders: coop, clip-adapter, and both."""
    place = tmp_path_factory.mktemp("finished")
    for name, methods in (("one", "coop"), ("other", "clip-adapter"), ("both", "coop,clip-adapter")):
        page = f"--report={place / name}.html" if name == "one" else "--no-report"
        options = [f"--methods=zero-shot,{methods}", f"--out={place / name}", page, *SETTINGS]
        steps = {"coop": 2, "clip-adapter": 9}
        options += [f"--set={method}.steps={steps[method]}" for method in methods.split(",")]
        done = world.call(*options, "--seeds=1,2")
        assert done.status == 0, done.err
    return {name: place / name for name in ("one", "other", "both")}


@pytest.fixture
def copies(finished, tmp_path) -> dict[str, Path]:
    return {name: Path(shutil.copytree(folder, tmp_path / name)) for name, folder in finished.items()}


@pytest.mark.slow
def test_it_is_the_page_of_the_run(cli, finished, tmp_path):
    """To the byte: nothing of it is anywhere but in the folder."""
    done = cli("report", str(finished["one"]), f"--report={tmp_path}/again.html")
    assert done.status == 0, done.err
    page = finished["one"].with_suffix(".html")
    assert (tmp_path / "again.html").read_bytes() == page.read_bytes()


@pytest.mark.slow
def test_two_folders_are_one_report(cli, finished, tmp_path):
    done = cli("report", str(finished["one"]), str(finished["other"]), f"--report={tmp_path}/both.html")
    assert done.status == 0, done.err
    page = (tmp_path / "both.html").read_text(encoding="utf-8")
    for words in (">coop<", ">clip-adapter<", "--methods=zero-shot,coop", "--methods=zero-shot,clip-adapter"):
        assert words in page, words
    assert page.count(">zero-shot</th>") == (finished["one"].with_suffix(".html")).read_text().count(">zero-shot</th>")


@pytest.mark.slow
def test_a_contradiction_is_named(cli, copies, tmp_path):
    table = pd.read_csv(copies["both"] / "results.csv", keep_default_na=False, dtype={"value": str})
    row = table.index[(table.method == "coop") & (table.metric == "accuracy") & (table.status == "ok")][0]
    table.loc[row, "value"] = str(float(table.loc[row, "value"]) + 1)
    run = read(copies["both"])
    save(replace(run, results=table.assign(value=pd.to_numeric(table.value))))
    done = cli("report", str(copies["one"]), str(copies["both"]), f"--report={tmp_path}/x.html")
    assert done.status == 2
    assert f"1 value differs between {copies['one']} and {copies['both']}, the first: coop on native->" in done.err
    assert not (tmp_path / "x.html").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda about: about.update(device="cuda:0"), "was computed on cpu"),
        (lambda about: about["backbones"][0].update(digest="0" * 64), "has other weights in"),
    ],
)
@pytest.mark.slow
def test_what_cannot_be_compared_is_refused(cli, copies, tmp_path, change, words):
    file = copies["other"] / "run.json"
    content = json.loads(file.read_text())
    change(content["about"])
    file.write_text(json.dumps(content))
    done = cli("report", str(copies["one"]), str(copies["other"]), f"--report={tmp_path}/x.html")
    assert done.status == 2
    assert words in done.err
    assert done.err.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["no folder", "no run.json", "no results.csv", "not json", "not all of it"])
def test_a_folder_without_results_is_one_line(cli, copies, tmp_path, damage):
    folder = copies["one"]
    if damage == "no folder":
        shutil.rmtree(folder)
    elif damage.startswith("no "):
        (folder / damage.removeprefix("no ")).unlink()
    else:
        (folder / "run.json").write_text("{" if damage == "not json" else '{"about": {}, "datasets": {}}')
    done = cli("report", str(folder), f"--report={tmp_path}/x.html")
    assert done.status == 2
    assert str(folder) in done.err
    assert "fix:" in done.err
    assert done.err.count("\n") == 1


@pytest.fixture
def with_images(tmp_path):
    """A made-up run of which an image is lost, saved."""
    lost = {"v1->v2": lost_images(lost_class("cat", picture(0, {"prompt": "x.x"})))}
    made = made_up_run(made_up_results(), pd.DataFrame(columns=RUN_COLUMNS), folder=tmp_path, lost=lost)
    save(made)
    return made


def test_lost_images_are_saved_and_read(with_images):
    assert read(with_images.folder).lost == with_images.lost


def test_an_edited_gallery_is_refused(with_images):
    file = with_images.folder / GALLERY
    file.write_text(file.read_text().replace("cat", "dog"))
    with pytest.raises(UserError, match="damaged or was edited"):
        read(with_images.folder)


def test_a_run_without_images_leaves_no_gallery_of_an_earlier_one(with_images):
    save(replace(with_images, lost={}))
    assert not (with_images.folder / GALLERY).exists()
    assert read(with_images.folder).lost == {}


def test_lost_images_are_merged(with_images):
    other = {"v1->v2": lost_images(lost_class("cat", picture(0, {"adapter": "y.."})))}
    one = replace(with_images, about=replace(with_images.about, backbones=[]))
    merged = merge([one, replace(one, lost=other)])
    assert merged.lost["v1->v2"].classes[0].pictures[0].lost == {"prompt": 2, "adapter": 1}
