"""``check``: what to do with a module, as a person or a CI job asks it."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open

import benchmark
from benchmark.cli import check
from benchmark.method import registry
from benchmark.method.checkpoints import HEADER

CLASSES = ("dog", "cat", "bird", "lorry", "house", "tree", "boat", "icon")


@pytest.fixture(scope="module")
def module(world, tmp_path_factory):
    """The file of a CoOp module of a short run."""
    out = tmp_path_factory.mktemp("made")
    given = ("--methods=zero-shot,coop", "--datasets=toy", "--protocols=few-shot", "--set=coop.steps=3")
    done = world.call(*given, "--device=cpu", "--workers=0", "--no-report", f"--out={out}")
    assert done.status == 0, done.err
    for file in out.rglob("module.safetensors"):
        with safe_open(file, framework="pt") as content:
            about = json.loads(content.metadata()[HEADER])
        if (about["method"], about["backbone"]["name"]) == ("coop", "native"):
            return file
    raise AssertionError("no module")


@pytest.fixture
def ask(cli, module, tmp_path, monkeypatch):
    """Run the command with a module that was trained on native."""
    monkeypatch.setattr(check, "cores", lambda: 1)

    def run(*more: str, file=module, data="toy", old="native", new="eva"):
        options = (f"--old={old}", f"--new={new}", f"--data={data}", f"--cache={tmp_path}/cache")
        return cli("check", str(file), *options, f"--report={tmp_path}/check.html", *more)

    return run


def told(tmp_path):
    return json.loads((tmp_path / "check.json").read_text())


def test_the_answer_is_the_same_everywhere(ask, tmp_path):
    """In the terminal, on the page, in JSON and on the card; its accuracies are those of eval-module."""
    done = ask(f"--json={tmp_path}/check.json", f"--save={tmp_path}/saved")
    assert done.status == 0, done.err
    answer = told(tmp_path)
    page, card = (tmp_path / "check.html").read_text(), (tmp_path / "saved" / "README.md").read_text()
    for text in (answer["headline"], *answer["sentences"]):
        assert text in done.out
        assert text in card
        assert text.replace('"', "&#34;").replace("'", "&#39;") in page
    assert answer["verdict"]["choice"] in ("keep", "discard", "repair", "stay", "both", "retrain")
    assert answer["data"]["test_images"] == 40
    assert answer["old"]["digest"] != answer["new"]["digest"]
    assert not re.search(
        r"\b(nan|None|inf)\b", re.sub(r"<style>.*?</style>|<script>.*?</script>", "", page, flags=re.DOTALL)
    )


def test_accuracies_are_those_of_eval_module(ask, cli, module, tmp_path):
    ask(f"--json={tmp_path}/check.json", "--repair=none")
    rows = {row["name"]: row for row in told(tmp_path)["options"]}
    done = cli("eval-module", str(module), "--on=native,eva", "--dataset=toy", f"--cache={tmp_path}/cache")
    for line in done.out.splitlines():
        cells = [cell.strip() for cell in line.strip("│").split("│")]
        if len(cells) == 6 and cells[2] == "all":
            keys = {"native": ("zero-shot-old", "stay"), "eva": ("discard", "keep")}[cells[1]]
            assert [f"{rows[key]['accuracy']:.1f}" for key in keys] == cells[3:5]
    assert set(rows) == {"zero-shot-old", "stay", "discard", "keep", "retrain"}


def test_conditions_decide_the_exit_status(ask, tmp_path):
    done = ask("--repair=none", "--fail-if=accuracy >= 0", "--fail-if=accuracy > 100", f"--junit={tmp_path}/check.xml")
    assert done.status == 3
    assert done.err.count("failed: ") == 1
    assert "failed: accuracy >= 0 (accuracy is " in done.err
    suite = ElementTree.parse(tmp_path / "check.xml").getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("3", "1")
    assert [case.get("name") for case in suite.iter("testcase") if case.find("failure") is not None] == ["not accuracy >= 0"]
    assert ask("--repair=none", "--fail-if=accuracy > 100").status == 0


def test_a_module_that_does_not_fit_fails_conditions_on_it(ask, world, tmp_path):
    """The narrow backbone has other image features, which an adapter cannot take."""
    out = tmp_path / "adapter"
    given = ("--methods=clip-adapter", "--datasets=toy", "--protocols=few-shot", "--set=clip-adapter.steps=2")
    world.call(*given, f"--out={out}", "--device=cpu", "--workers=0", "--no-report")
    for file in out.rglob("module.safetensors"):
        with safe_open(file, framework="pt") as content:
            header = json.loads(content.metadata()[HEADER])
            if (header["method"], header["backbone"]["name"]) == ("clip-adapter", "native"):
                done = ask("--repair=none", "--fail-if=lift < -100", file=file, new="narrow")
                assert done.status == 3
                assert "lift is not known" in done.err
                assert "As it is, the module does not fit narrow" in done.out
                return
    raise AssertionError("no module")


def test_what_is_saved_is_read_again(ask, world, backbones, tmp_path):
    """The repaired or retrained module alone, on the new backbone, with the accuracy on the card."""
    done = ask(f"--json={tmp_path}/check.json", f"--save={tmp_path}/saved", "--repair=warm-start-5")
    assert done.status == 0, done.err
    loaded = benchmark.load_module(tmp_path / "saved" / "module.safetensors")
    assert loaded.described["backbone"]["name"] == "eva"
    name = re.fullmatch(r"check: (.+), from native", loaded.described["made_by"])[1]
    row = next(row for row in told(tmp_path)["options"] if row["name"] == name)
    on = loaded.on(backbones["eva"], CLASSES)
    data = registry.datasets_in(world.root / "datasets")["toy"].cls().load()
    found = on.predict([data.test.images[i] for i in range(len(data.test))]).labels
    right = np.mean([answer == CLASSES[label] for answer, label in zip(found, data.test.labels, strict=True)])
    assert 100 * right == pytest.approx(row["accuracy"])


# --- images of one's own ---------------------------------------------------------------------------------------------


def picture(seed: int) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 36, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.fixture
def pictures(tmp_path):
    """A folder with ten images of each of three classes."""
    for label, name in enumerate(("dog", "cat", "house")):
        (tmp_path / "parts" / name).mkdir(parents=True)
        for number in range(10):
            picture(10 * label + number).save(tmp_path / "parts" / name / f"{number}.png")
    return tmp_path / "parts"


def test_a_folder_without_a_split(ask, pictures, tmp_path):
    """A fifth of each class is for retraining, a fifth is held out, and the rest is for testing."""
    done = ask(f"--json={tmp_path}/check.json", data=pictures)
    assert done.status == 0, done.err
    data = told(tmp_path)["data"]
    assert (data["test_images"], data["training_images"], data["held_out_images"]) == (18, 6, 6)
    assert data["note"] == "split made by rule: 20/20/60 % of each class"
    assert data["classes"] == ["cat", "dog", "house"]
    flips = told(tmp_path)["flips"]
    assert all((pictures / flip["image"]).is_file() for flip in [*flips["lost"], *flips["won"]])
    page = (tmp_path / "check.html").read_text()
    assert page.count('<img src="data:image/') == len(flips["lost"]) + len(flips["won"])


def test_images_without_labels(ask, tmp_path):
    folder = tmp_path / "unlabelled"
    folder.mkdir()
    for number in range(6):
        picture(number).save(folder / f"{number}.jpg")
    done = ask(f"--json={tmp_path}/check.json", "--repair=none", data=folder)
    assert done.status == 0, done.err
    assert "No verdict without labels." in done.out
    answer = told(tmp_path)
    assert (answer["verdict"], answer["flips"]) == (None, None)
    assert set(answer["values"]) == {"agreement", "zero_shot_agreement", "module_changes", "module_changes_old"}
    assert answer["data"]["classes"] == list(CLASSES), "those of the module"
    done = ask(f"--json={tmp_path}/check.json", "--repair=none", "--classes=dog,cat", data=folder)
    assert told(tmp_path)["data"]["classes"] == ["dog", "cat"]
    assert ask("--fail-if=lift < 0", "--repair=none", data=folder).status == 3


# --- mistakes ---------------------------------------------------------------------------------------------------------

MISTAKES = {
    "unknown data": (("--data=toys",), "'toys'", "or name a folder or CSV"),
    "unknown backbone": (("--new=evva",), "--new evva: no such backbone", "did you mean 'eva'"),
    "unknown repair": (("--repair=botth",), "--repair botth: no such repair", "or all, or none"),
    "no condition": (("--fail-if=lift",), "not a condition", "lift < 0"),
    "no page": (("--report=x.txt",), "the report is an HTML page", "--help"),
    "another template": (("--data={folder}", "--template=no place"), "the template needs one {}", "you gave 'no place'"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_with_a_fix(ask, pictures, mistake):
    given, what, fix = MISTAKES[mistake]
    done = ask(*(text.replace("{folder}", str(pictures)) for text in given))
    assert done.status == 2
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1
    assert what in done.err
    assert fix in done.err


def test_a_wrong_old_backbone_is_said(ask):
    done = ask("--repair=none", old="eva", new="native")
    assert done.status == 0, done.err
    assert "warning: the module was trained on native, whose weights are not those of eva" in done.out


def test_a_broken_image_is_named(ask, pictures):
    (pictures / "dog" / "3.png").write_bytes(b"")
    done = ask(data=pictures)
    assert done.status == 2
    assert "3.png" in done.err
