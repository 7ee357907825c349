"""Published values are compared only where the configuration is the same, and reveal wrong weights."""

from __future__ import annotations

import itertools
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import open_clip
import pandas as pd
import pytest
import yaml
from fixtures.checkout import ROOT
from fixtures.results import ABOUT
from fixtures.results import page as results_page
from open_clip.pretrained import get_pretrained_cfg

from benchmark.config.schema import BackboneSpec
from benchmark.results import published, summary
from benchmark.results.provenance import PublishedRow

CONTENT = yaml.safe_load(published.FILE.read_text(encoding="utf-8"))
ROWS = [*CONTENT["zero_shot"]["rows"], *CONTENT["base_to_new"]["rows"]]
ELEVEN = CONTENT["base_to_new"]["datasets"]
OPENAI = BackboneSpec(model="ViT-B-16-quickgelu", pretrained="openai")
EVA = BackboneSpec(model="EVA02-B-16", pretrained="merged2b_s8b_b131k")
BACKBONES = {"old": OPENAI, "new": EVA}


# --- the file ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", ROWS, ids=lambda each: f"{each['model']}-{each['pretrained']}-{each.get('method', '')}")
def test_every_value_is_of_a_model_that_open_clip_has(row):
    """With the activation that its weights were trained with."""
    assert (row["model"], row["pretrained"]) in open_clip.list_pretrained()
    trained = get_pretrained_cfg(row["model"], row["pretrained"]).get("quick_gelu", False)
    assert open_clip.get_model_config(row["model"]).get("quick_gelu", False) == trained


def test_the_values_can_be_accuracies_of_known_data_sets():
    known = {file.stem.replace("_", "-") for file in (ROOT / "datasets").glob("*.py")}
    assert len(ELEVEN) == 11
    assert {*ELEVEN, *CONTENT["zero_shot"]["datasets"]} <= known
    for row in ROWS:
        values = row.get("values") or [row["base"], row["new"]]
        assert len(values) <= 5
        assert all(30 < value < 95 for value in values)
        assert "values" in row or row["source"]


# --- zero-shot -----------------------------------------------------------------------------------------------------


def result(dataset: str, value: float, **change: Any) -> dict[str, Any]:
    """A zero-shot accuracy on the old backbone."""
    row = dict.fromkeys(summary.COLUMNS, "") | {"pair": "old->new", "old": "old", "new": "new", "method": "zero-shot"}
    row |= {"config": "default", "dataset": dataset, "protocol": "domain", "split": "all", "shots": 16, "seed": 1}
    return row | {"strategy": "old", "metric": "accuracy", "value": value, "n": 100, "status": "ok"} | change


def compare(*rows: dict[str, Any], backbones: dict[str, BackboneSpec] = BACKBONES) -> list[PublishedRow]:
    return published.compare(pd.DataFrame(rows, columns=summary.COLUMNS), backbones, "zero-shot")


def brief(rows: list[PublishedRow]) -> list[tuple]:
    return [(row.backbone, row.what.removeprefix("zero-shot accuracy on "), row.published, row.measured) for row in rows]


def test_zero_shot_on_each_backbone_by_itself():
    rows = compare(
        result("imagenet", 66.0),
        result("imagenet", 68.0, seed=2),
        result("imagenet", 60.0, test_set="imagenet-v2"),
        result("imagenet", 73.0, strategy="retrain"),
        result("imagenet", 1.0, strategy="reuse"),  # would be the module's
        result("caltech101", 90.0),  # nobody has published it
    )
    assert brief(rows) == [
        ("old", "imagenet", 68.34, 67.0),
        ("old", "imagenet-v2", 61.88, 60.0),
        ("new", "imagenet", 74.72, 73.0),
    ]
    assert {row.method for row in rows} == {"zero-shot"}
    assert "80 templates" in rows[0].difference
    assert rows[0].source


def test_a_set_that_was_other_test_sets_another_counts_as_itself():
    rows = compare(result("caltech101", 67.0, protocol="cross-dataset", test_set="imagenet"))
    assert brief(rows) == [("old", "imagenet", 68.34, 67.0)]


@pytest.mark.parametrize(
    "spec",
    [
        BackboneSpec(model="ViT-B-16", pretrained="openai"),
        BackboneSpec(model="ViT-B-16-quickgelu", pretrained="laion400m_e32"),
        BackboneSpec(model="ViT-B-16-quickgelu", pretrained="random"),
        BackboneSpec(model="local-dir:/x"),
    ],
    ids=["activation", "tag", "random", "folder"],
)
def test_another_backbone_has_no_counterpart(spec):
    assert compare(result("imagenet", 68.0), backbones={"old": spec, "new": spec}) == []


@pytest.mark.parametrize(
    "change",
    [
        {"method": "coop"},
        {"split": "base"},
        {"metric": "negative_flip"},
        {"status": "failed"},
        {"config": "lr=0.1"},
        {"strategy": "reuse"},
        {"dataset": "imagenet", "test_set": "imagenet-c"},
    ],
    ids=lambda change: "-".join(change),
)
def test_another_value_is_not_compared(change):
    assert compare(result("imagenet", 68.0) | change) == []
    assert len(compare(result("imagenet", 68.0), result("imagenet", 1.0) | change)) == 1


@pytest.mark.parametrize(("measured", "wrong"), [(64.4, False), (72.3, False), (64.3, True), (72.4, True), (0.1, True)])
def test_a_value_out_of_the_band_is_wrong(measured, wrong):
    (row,) = compare(result("imagenet", measured))
    assert row.wrong is wrong


def test_nothing_at_all():
    assert compare() == []


# --- base to new ---------------------------------------------------------------------------------------------------


def table(method: str = "coop", datasets=ELEVEN, **change: Any) -> list[dict[str, Any]]:
    """Base 70, 71, ..., 80 and new 60, 62, ..., 80 over eleven data sets, a point more and less in two more seeds."""
    return [
        result(name, value + shift, method=method, protocol="base-to-new", split=split, seed=2 + shift) | change
        for (index, name), shift in itertools.product(enumerate(datasets), (-1, 0, 1))
        for split, value in (("base", 70 + index), ("new", 60 + 2 * index))
    ]


def test_means_over_the_eleven_data_sets():
    rows = compare(*table("cocoop"))
    assert [row.what for row in rows] == [
        "base accuracy, mean of 11 data sets",
        "new accuracy, mean of 11 data sets",
        "H of these means",
    ]
    assert [row.published for row in rows] == pytest.approx([80.47, 71.69, 75.83], abs=0.005)
    assert [row.measured for row in rows] == pytest.approx([75.0, 70.0, 2 * 75 * 70 / 145])
    assert {(row.backbone, row.method, row.wrong) for row in rows} == {("old", "cocoop", False)}


def test_a_seed_that_is_missing_does_not_change_a_data_sets_weight():
    rows = [row for row in table("cocoop") if row["dataset"] != "ucf101" or row["seed"] == 1]  # 79 and 79
    assert [row.measured for row in compare(*rows)][:2] == pytest.approx([75 - 1 / 11, 70 - 1 / 11])


def test_a_module_is_compared_where_it_was_trained():
    retrained = table("cocoop", strategy="retrain", pair="x->old", old="x", new="old")
    assert [row.backbone for row in compare(*retrained)] == ["old"] * 3
    assert compare(*table("cocoop", strategy="reuse", pair="x->old", old="x", new="old")) == []
    assert compare(*table("cocoop", strategy="retrain")) == []  # on the new one, of which nothing is published
    pairs = [*table("cocoop"), *table("cocoop", pair="old->b", new="b")]  # the same cells, told once for each pair
    assert [row.measured for row in compare(*pairs)] == [row.measured for row in compare(*table("cocoop"))]


def test_two_reports_of_one_method_are_both_shown():
    rows = compare(*table("coop"))
    assert [row.published for row in rows][::3] == [82.69, 82.63]
    assert len({row.source for row in rows}) == 2


@pytest.mark.parametrize(
    "rows",
    [
        table("coop", ELEVEN[:10]),
        [row for row in table("coop") if (row["dataset"], row["split"]) != ("dtd", "new")],
        table("coop", protocol="few-shot", split="all"),
        table("coop", shots=4),
        table("coop", config="n_ctx=16"),
        table("coop", test_set="x"),
        table("contcoop"),
        table("coop", status="failed"),
    ],
    ids=["ten data sets", "half of one", "protocol", "shots", "config", "test_set", "method", "status"],
)
def test_anything_less_is_not_compared(rows):
    assert compare(*rows) == []


# --- where it is shown -----------------------------------------------------------------------------------------------

ROW = PublishedRow("b<16>", "coop", "base accuracy", 80.0, 77.5, "other templates", "a paper")


def page(*rows: PublishedRow) -> str:
    empty = pd.DataFrame(columns=summary.COLUMNS)
    return results_page(empty, about=replace(ABOUT, published=rows), methods={}, datasets={})


def test_the_report_shows_them():
    text = page(ROW)
    for words in (
        "Published values ",
        "b&lt;16&gt;",
        ">80.0<",
        ">77.5<",
        "\N{MINUS SIGN}2.5",
        "other templates",
        "a paper",
    ):
        assert words in text, words
    assert "Too far off" not in text
    assert "Published values" not in page()


def test_the_report_flags_what_is_wrong():
    text = page(ROW, replace(ROW, wrong=True, backbone="other"))
    assert text.count("Too far off: check weights, activation and data") == 1
    assert text.index(">other<") < text.index("Too far off")


@pytest.mark.parametrize("wrong", [True, False])
def test_a_run_tells_of_it_in_the_terminal_and_to_the_report(wrong, cli, world, tmp_path, backbone_folders, monkeypatch):
    """A whole run of the baseline on a backbone of which something is published."""
    written = {}

    def write(page, run, *_, **__):
        written.update(about=run.about)
        return SimpleNamespace(answers=())

    monkeypatch.setattr("benchmark.report.write", write)
    model = f"local-dir:{backbone_folders['native'].resolve()}"
    row = {"model": model, "pretrained": None, "values": [120.0 if wrong else 50.0]}
    content = {
        "datasets": ["toy"],
        "band": 4 if wrong else 100,
        "source": "a [paper]",
        "difference": "none",
        "rows": [row],
    }
    empty = CONTENT["base_to_new"] | {"rows": []}
    monkeypatch.setattr(published, "_content", lambda: {"zero_shot": content, "base_to_new": empty})
    done = cli(
        "--methods=zero-shot",
        "--protocols=domain",
        "--workers=0",
        "--device=cpu",
        f"--out={tmp_path}/o",
        f"--report={tmp_path}/r.html",
    )
    assert done.status == 0, done.err
    (row,) = written["about"].published
    assert (row.backbone, row.wrong) == ("native", wrong)
    line = f"warning: zero-shot accuracy on toy of native is {row.measured:.1f}, published is 120.0 (a [paper]; none)"
    assert (line in done.out) is wrong
    assert ("check weights" in done.out) is wrong
