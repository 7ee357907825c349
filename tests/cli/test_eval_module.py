"""``eval-module``: a module that somebody has, on other backbones; its figures are those computed here in straight lines."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from fixtures.folders import flat, pairs_file
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file
from torch.nn.functional import normalize

from benchmark.cli import eval_module
from benchmark.method import registry
from benchmark.method.checkpoints import HEADER
from benchmark.training.checks.tiny_clips import NATIVE as NATIVE_VISION
from benchmark.training.checks.tiny_clips import TEXT, pictures
from benchmark.training.checks.tiny_clips import write as write_backbone

WIDE = {"embed_dim": 32, "quick_gelu": True, "vision_cfg": NATIVE_VISION, "text_cfg": {**TEXT, "width": 48}}
PARTS = {"all": range(8), "base": range(4), "new": range(4, 8)}


@pytest.fixture
def context() -> torch.Tensor:
    """Four learnt vectors."""
    return torch.randn(4, 32, generator=torch.Generator().manual_seed(5)) * 0.5


@pytest.fixture
def checkpoint(context, tmp_path) -> Path:
    """A file as CoOp's official code writes it, trained on three other classes."""
    state = {"ctx": context, "token_prefix": torch.randn(3, 1, 32), "token_suffix": torch.randn(3, 19, 32)}
    content = {"state_dict": state, "epoch": 50, "optimizer": {}, "scheduler": {}, "val_result": None}
    torch.save(content, tmp_path / "model.pth.tar-50")
    return tmp_path / "model.pth.tar-50"


@pytest.fixture
def evaluate(cli, tmp_path, monkeypatch):
    """Run the command on the toy data sets."""
    monkeypatch.setattr(eval_module, "cores", lambda: 1)

    def run(file: object, on: str = "native", dataset: str = "toy", *more: str):
        return cli("eval-module", str(file), f"--on={on}", f"--dataset={dataset}", f"--cache={tmp_path}/cache", *more)

    return run


def figures(text: str) -> dict[tuple[str, str, str], tuple[str, str, str]]:
    """(zero-shot, module, lift) as printed, by data set, backbone and classes."""
    rows = [[cell.strip() for cell in line.strip("│┃ ").split("│")] for line in text.splitlines() if line.startswith("│")]
    return {(row[0], row[1], row[2]): (row[3], row[4], row[5]) for row in rows}


def description(file: Path) -> dict:
    """What the suite wrote about a module into its file."""
    with safe_open(file, framework="pt") as content:
        return json.loads(content.metadata()[HEADER])


def toy(world, name: str = "toy"):
    data = registry.datasets_in(world.root / "datasets")[name].cls()
    return data, data.load()


def straight(backbone, names: list[str], images: torch.Tensor, context: torch.Tensor | None, template: str) -> torch.Tensor:
    """Predictions of plain open_clip, or of CoOp: [start | context | name. end]."""
    model = backbone.model
    text = getattr(model, "text", model)
    with torch.no_grad():
        if context is None:
            features = model.encode_text(backbone.tokenizer([template.format(name) for name in names]))
        else:
            ids = backbone.tokenizer([f"X X X X {name}." for name in names])
            x = text.token_embedding(ids)
            x[:, 1:5] = context
            x = text.ln_final(text.transformer(x + text.positional_embedding, attn_mask=text.attn_mask))
            features = x[torch.arange(len(names)), ids.argmax(1)] @ text.text_projection
        return (normalize(model.encode_image(images)) @ normalize(features).T).argmax(1)


def percent(backbone, data, splits, part: str, context: torch.Tensor | None) -> float:
    labels = PARTS[part]
    rows = [row for row, label in enumerate(splits.test.labels) if label in labels]
    images = torch.stack([backbone.transform(splits.test.images[row]) for row in rows])
    found = straight(backbone, [splits.classes[label] for label in labels], images, context, data.template)
    right = [splits.test.labels[row] - labels[0] for row in rows]
    return float(100 * np.mean(found.numpy() == right))


# --- figures -------------------------------------------------------------------------------------------------------


def test_a_checkpoint_of_coop(evaluate, checkpoint, context, backbones, world, tmp_path):
    """On two backbones that it fits, and on one of another width that it does not."""
    wide = write_backbone(tmp_path / "wide", WIDE, seed=9)
    done = evaluate(checkpoint, f"native, eva,local-dir:{wide}")
    assert done.status == 0, done.err
    assert "module of coop: n_ctx 4" in done.out
    shown = figures(done.out)
    assert len(shown) == 9
    data, splits = toy(world)
    lifts = []
    for name in ("native", "eva"):
        for part in PARTS:
            zero, module = (percent(backbones[name], data, splits, part, each) for each in (None, context))
            assert shown["toy", name, part] == (f"{zero:.1f}", f"{module:.1f}", f"{module - zero:+.1f}"), (name, part)
            lifts.append(module - zero)
    assert any(lifts), "the module must matter"
    for part in PARTS:
        zero, module, lift = shown["toy", f"local-dir:{wide}", part]
        assert 0 <= float(zero) <= 100
        assert module == lift == "-"
    lines = [line for line in done.out.splitlines() if line.startswith("incompatible")]
    assert lines == [
        f"incompatible with local-dir:{wide}: context is 4 x 32 in the module but must be 4 x 48 on local-dir:{wide}"
    ]


def test_a_variant_has_its_own_classes_and_template(evaluate, checkpoint, context, backbones, world):
    done = evaluate(checkpoint, "native", "toy,toy-noisy")
    assert done.status == 0, done.err
    shown = figures(done.out)
    assert [key for key in shown if key[0] == "toy-noisy"] == [("toy-noisy", "native", "all")]
    data, splits = toy(world, "toy-noisy")
    images = torch.stack([backbones["native"].transform(splits.test.images[row]) for row in range(len(splits.test))])
    for column, module in enumerate((None, context)):
        found = straight(backbones["native"], list(splits.classes), images, module, data.template)
        accuracy = 100 * np.mean(found.numpy() == splits.test.labels)
        assert shown["toy-noisy", "native", "all"][column] == f"{accuracy:.1f}"


def test_a_module_of_a_run_has_the_figures_of_the_run(evaluate, cli, tmp_path, monkeypatch):
    monkeypatch.setattr("benchmark.cli.finish.finish", lambda *_: (0, ""))  # the report takes longer than the run
    out = tmp_path / "results"
    options = ["--methods=coop", "--datasets=toy", "--protocols=base-to-new", "--set=coop.steps=2", "--workers=0"]
    done = cli(*options, "--device=cpu", f"--out={out}", "--no-report")
    assert done.status == 0, done.err
    records = [json.loads(file.read_text()) for file in out.glob("cells/*/*/record.json")]
    trained = {
        record["key"]: description(out / "cells" / record["key"][:2] / record["key"] / "module.safetensors")
        for record in records
        if record["config"]["kind"] == "train"
    }
    key = next(key for key, about in trained.items() if about["backbone"]["name"] == "native")
    tested = [record for record in records if record["config"].get("module") == key]
    digests = {about["backbone"]["digest"]: about["backbone"]["name"] for about in trained.values()}
    done = evaluate(out / "cells" / key[:2] / key / "module.safetensors", "native,eva")
    assert done.status == 0, done.err
    assert "trained by this suite on native" in done.out
    shown = figures(done.out)
    assert len(tested) == 2
    for record in tested:
        for part in ("base", "new"):
            found = shown["toy", digests[record["config"]["backbone"]], part][1]
            assert found == f"{record['accuracy'][part]:.1f}"


def test_a_folder_of_the_yaml(evaluate, checkpoint, backbone_folders, tmp_path):
    """Three classes: no halves of two."""
    for label in range(3):
        for number in range(4):
            file = tmp_path / "data" / ("cat", "dog", "boat")[label] / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pictures([label], seed=number)[0]).save(file)
    content = {
        "backbones": {"old (1)": {"model": f"local-dir:{backbone_folders['native']}"}},
        "folders": {"mine": {"path": "data"}},
    }
    content |= {"upgrades": [{"old": "old (1)", "new": "old (1)"}]}
    (tmp_path / "pairs.yaml").write_text(yaml.safe_dump(content))
    done = evaluate(checkpoint, "old (1)", "mine", f"--upgrade-pairs={tmp_path}/pairs.yaml")
    assert done.status == 0, done.err
    assert list(figures(done.out)) == [("mine", "old (1)", "all")]


# --- mistakes ------------------------------------------------------------------------------------------------------

MISTAKES = {
    "unknown backbone": ({"on": "nativ"}, "did you mean 'native'?; or write MODEL:PRETRAINED"),
    "unknown model": ({"on": "ViT-B-99:openai"}, "unknown model 'ViT-B-99'"),
    "unknown tag": ({"on": "ViT-B-32:opnai"}, "did you mean 'openai'"),
    "no tag": ({"on": "ViT-B-32:"}, "pretrained: the text is empty"),
    "no folder": ({"on": "local-dir:/nowhere"}, "no open_clip_config.json"),
    "an empty name": ({"on": "native,"}, "there is an empty name"),
    "unknown data set": ({"dataset": "toyy"}, "did you mean 'toy'"),
    "no data set": ({"dataset": ""}, "there is an empty name"),
    "unknown method": ({"more": ["--method=coopp"]}, "did you mean 'coop'"),
    "method of another kind": ({"more": ["--method=clip-lora"]}, "is not a checkpoint of any method"),
    "no GPU": ({"more": ["--device=cuda"]}, "there is no GPU here"),
    "no such device": ({"more": ["--device=toaster"]}, "--device toaster"),
    "no YAML": ({"more": ["--upgrade-pairs=none.yaml"]}, "no such file"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_one_line(case, evaluate, checkpoint, monkeypatch):
    options, words = MISTAKES[case]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    line = refusal(
        evaluate(checkpoint, options.get("on", "native"), options.get("dataset", "toy"), *options.get("more", []))
    )
    assert words in line


def refusal(done) -> str:
    assert done.status == 2, done.err
    assert "Traceback" not in done.err
    assert done.out == ""
    lines = done.err.strip().splitlines()
    assert len(lines) == 1, done.err
    assert lines[0].startswith("error: ")
    return lines[0]


@pytest.mark.parametrize("kind", ["absent", "folder", "text", "foreign", "NaN"])
def test_a_file_that_is_no_module(kind, evaluate, tmp_path):
    file = tmp_path / "file.pth"
    if kind == "folder":
        file.mkdir()
    elif kind == "text":
        file.write_text("hello")
    elif kind != "absent":
        state = {"foreign": {"weight": torch.ones(2)}, "NaN": {"ctx": torch.full((4, 32), torch.nan)}}
        torch.save({"state_dict": state.get(kind, {"ctx": torch.ones(3, 4, 32)})}, file)
    line = refusal(evaluate(file))
    assert str(file) in line
    words = {"absent": "no such file", "folder": "is a folder", "text": "damaged", "NaN": "not finite"}
    assert words.get(kind, "is not a checkpoint of any method") in line


def test_a_module_of_its_training_classes_has_no_say_about_others(evaluate, tmp_path):
    """A context for each class, in the order of the data set: four are the base classes, never the new ones."""
    file = tmp_path / "model.pth.tar-50"
    torch.save({"state_dict": {"ctx": 0.2 * torch.randn(4, 4, 32)}}, file)
    done = evaluate(file, "native")
    assert done.status == 0, done.err
    shown = figures(done.out)
    assert 0 <= float(shown["toy", "native", "base"][1]) <= 100
    assert shown["toy", "native", "new"][1] == shown["toy", "native", "all"][1] == "-"
    torch.save({"state_dict": {"ctx": 0.2 * torch.randn(3, 4, 32)}}, file)
    assert "it only scores its training classes, and these are others" in evaluate(file, "native").out


def test_weights_and_data_that_are_missing_are_listed(evaluate, checkpoint, monkeypatch, tmp_path):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    done = evaluate(checkpoint, "native,ViT-B-32:openai,hf-hub:org/repo")
    assert done.status == 2
    assert "2 things are missing" in done.err.splitlines()[-1]
    assert "0.6 GB" in done.err


@pytest.mark.parametrize("options", [[], ["x.pth"], ["x.pth", "--on=native"], ["x.pth", "--dataset=toy"], ["--what"]])
def test_what_must_be_given(options, cli):
    done = cli("eval-module", *options)
    assert done.status == 2
    assert "error: clip-compat eval-module: " in done.err
    assert done.err.count("\n") == 1
    assert re.search("required|unrecognized", done.err)


def test_help_names_the_command(cli):
    assert "eval-module" in cli("--help").out
    assert "--on NAMES" in cli("eval-module", "--help").out


def test_a_setting_that_the_method_does_not_have(evaluate, tmp_path):
    about = {"method": "coop", "settings": {"n_ctxx": 4}, "backbone": {"name": "x"}, "tensors": {"context": [4, 32]}}
    save_file({"context": torch.zeros(4, 32)}, tmp_path / "module.safetensors", {HEADER: json.dumps(about)})
    assert "did you mean 'n_ctx'" in refusal(evaluate(tmp_path / "module.safetensors"))


def test_what_fails_on_one_data_set_leaves_the_others(evaluate, tmp_path, checkpoint, backbone_folders):
    """One broken image in the second costs that row only, and the exit status tells."""
    for name in ("good", "bad"):
        flat(tmp_path / name)
    for file in (tmp_path / "bad" / "cat").iterdir():
        file.write_bytes(b"")
    folders = {name: {"path": name} for name in ("good", "bad")}
    pairs_file(tmp_path, backbone_folders, folders)
    done = evaluate(checkpoint, "native,eva", "good,bad", f"--upgrade-pairs={tmp_path}/pairs.yaml")
    assert done.status == 1
    assert {(dataset, backbone) for dataset, backbone, _ in figures(done.out)} == {("good", "native"), ("good", "eva")}
    assert done.err.count("error: bad on ") == 2


@pytest.fixture
def offset_run(cli, tmp_path):
    """A run of an offset method, and the file of its module on the old backbone."""
    out = tmp_path / "results"
    options = [
        "--methods=coop-offset",
        "--datasets=toy",
        "--protocols=base-to-new",
        "--set=coop-offset.steps=4",
        "--workers=0",
    ]
    done = cli(*options, "--set=coop-offset.lr=0.5", "--device=cpu", f"--out={out}", "--no-report")
    assert done.status == 0, done.err
    for file in out.glob("cells/*/*/module.safetensors"):
        about = description(file)
        if about["method"] == "coop-offset" and about["backbone"]["name"] == "native":
            return out, file
    raise AssertionError("no module")


@pytest.mark.slow
def test_a_module_that_changes_on_the_way_has_the_figures_of_the_run(evaluate, offset_run):
    """Reuse of the run and of ``eval-module``: the offset times the relatedness, which is below 1."""
    out, file = offset_run
    done = evaluate(file, "native,eva")
    assert done.status == 0, done.err
    shown = figures(done.out)
    table = pd.read_csv(out / "results.csv")
    table = table[(table.method == "coop-offset") & (table.metric == "accuracy")]
    for new, strategy in (("native", "old"), ("eva", "reuse")):
        for part in ("base", "new"):
            rows = table[(table.new == new) & (table.strategy == strategy) & (table.split == part)]
            assert shown["toy", new, part][1] == f"{rows.value.iloc[0]:.1f}"


@pytest.mark.slow
def test_without_the_backbone_that_it_was_trained_on_it_does_not_fit(evaluate, offset_run, backbone_folders, tmp_path):
    _, file = offset_run
    new = {"model": f"local-dir:{backbone_folders['eva']}"}
    content = {"backbones": {"new": new}, "upgrades": [{"old": "new", "new": "new"}]}
    (tmp_path / "pairs.yaml").write_text(yaml.safe_dump(content))
    done = evaluate(file, "new", "toy", f"--upgrade-pairs={tmp_path}/pairs.yaml")
    assert done.status == 0, done.err
    assert "needs the backbone that it was trained on, and the YAML has no such 'native'" in done.out
