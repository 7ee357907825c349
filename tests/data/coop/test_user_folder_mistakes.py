"""Mistakes in a user's folder, or in what the YAML says of it: one line each, with the fix."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from fixtures.folders import BACKBONES, ROWS, described, flat, pairs_file, parts, refusal, write_csv

from benchmark.config import loader

WRONG = {
    "no path": ({"title": "x"}, "add 'path'"),
    "misspelt key": ({"path": "x", "templat": "a {}"}, "did you mean 'template'"),
    "no place": ({"path": "x", "template": "a photo"}, "one {} where the class name goes"),
    "two places": ({"path": "x", "template": "{} and {}"}, "one {} where the class name goes"),
    "named place": ({"path": "x", "template": "a {} {name}"}, "one {} where the class name goes"),
    "doubled braces": ({"path": "x", "template": "a {{}}"}, "one {} where the class name goes"),
    "open brace": ({"path": "x", "template": "a {} {"}, "one {} where the class name goes"),
    "crop too large": ({"path": "x", "crop": [0.5, 1.5]}, "two shares between 0 and 1"),
    "crop reversed": ({"path": "x", "crop": [1.0, 0.5]}, "two shares between 0 and 1"),
    "crop of one": ({"path": "x", "crop": [0.5]}, "crop"),
    "crop as text": ({"path": "x", "crop": "half"}, "crop"),
    "no shots": ({"path": "x", "shots": 0}, "shots"),
    "flip as text": ({"path": "x", "flip": "no"}, "flip"),
    "base twice": ({"path": "x", "base": ["cat", "cat"]}, "a base class is given twice"),
    "truth value as class": ({"path": "x", "base": [True]}, "put it in quotes"),
    "no name": ({"path": "x", "class_names": {"cat": " "}}, "the name of class 'cat' is empty"),
    "names as list": ({"path": "x", "class_names": ["cat"]}, "class_names"),
    "zero byte": ({"path": "a\0b"}, "a control character"),
    "nobody's home": ({"path": "~nobody-of-this-name/x"}, "not a path"),
    "just a path": ("x", "folders.mine"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_mistake_in_the_yaml(case, tmp_path):
    keys, words = WRONG[case]
    file = tmp_path / "pairs.yaml"
    content = {"backbones": BACKBONES, "upgrades": [{"old": "b", "new": "b"}], "folders": {"mine": keys}}
    file.write_text(yaml.safe_dump(content))
    line = refusal(lambda: loader.load(file))
    assert words in line
    assert "mine" in line or "not a path" in line or "pairs.yaml:7" in line


@pytest.mark.parametrize("name", ["all", "base", "new", "H", "a b", "a,b", "x*", "", "a/b", "[bold]"])
def test_a_name_that_would_mean_something_else(name, tmp_path):
    file = tmp_path / "pairs.yaml"
    content = {"backbones": BACKBONES, "upgrades": [{"old": "b", "new": "b"}], "folders": {name: {"path": "x"}}}
    file.write_text(yaml.safe_dump(content))
    assert f"a data set cannot be called {name!r}" in refusal(lambda: loader.load(file))


def empty(root: Path) -> Path:
    root.mkdir()
    return root


def without_images(root: Path) -> Path:
    (flat(root) / "lorry").mkdir()
    (root / "lorry" / "clip.svg").write_bytes(b"<svg")
    return root


def too_few(root: Path) -> Path:
    for file in sorted((flat(root) / "dog").iterdir())[3:]:
        file.unlink()
    return root


def untested(root: Path) -> Path:
    shutil.rmtree(parts(root) / "test" / "cat")
    return root


def untrained(root: Path) -> Path:
    shutil.rmtree(parts(root) / "train" / "cat")
    return root


DAMAGED = {
    "empty": (empty, {}, "no images", ""),
    "class without images": (without_images, {}, "a class without images", "lorry"),
    "three images": (too_few, {}, "class 'dog' has no test image", "at least four"),
    "class without test": (untested, {}, "class 'cat' has no test image", "training and test images"),
    "class without training": (untrained, {}, "class 'cat' has no training image", ""),
    "unknown base class": (flat, {"base": ["cat", "dgo"]}, "there is no class 'dgo'", "did you mean 'dog'"),
    "unknown name": (flat, {"class_names": {"hous": "home"}}, "there is no class 'hous'", "did you mean 'house'"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_mistake_in_the_folder(case, tmp_path):
    make, keys, what, fix = DAMAGED[case]
    data = described(make(tmp_path / "data"), **keys)
    assert data.missing() is None
    line = refusal(data.load)
    assert what in line
    assert fix in line
    assert "mine" in line or str(tmp_path) in line


BAD_ROWS = {
    "no image of that name": ([*ROWS, ("dog.png", "cat", "test")], "", "1 of 9 images are missing, the first is dog.png"),
    "no label": ([*ROWS, ("cat9.png", "", "test")], ":10", "a row without path or label"),
    "short row": ([*ROWS, ("cat9.png",)], ":10", "a row without path or label"),
    "unknown split": ([*ROWS[:3], ("cat9.png", "cat", "training")], ":5", "unknown split 'training'"),
    "half a split": ([*ROWS, ("cat9.png", "cat", "")], ":10", "some rows have a split and some have none"),
    "split comes late": ([("cat9.png", "cat", ""), *ROWS], ":3", "some rows have a split and some have none"),
    "in two parts": ([*ROWS, (ROWS[0][0], "boat", "test")], ":10", "boat0.png is listed twice"),
    "after blank lines": ([(), (), *ROWS, ("cat9.png", "", "test")], ":12", "a row without path or label"),
    "nothing to test on": ([row for row in ROWS if row[2] == "train"], "", "class 'boat' has no test image"),
    "header only": ([], "", "no images"),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_a_mistake_in_a_row(case, tmp_path):
    rows, place, words = BAD_ROWS[case]
    line = refusal(described(write_csv(tmp_path, *rows)).load)
    assert words in line
    assert f"list.csv{place}" in line or not place


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no column 'path'"),
        (b"file,label\na.png,cat\n", "no column 'path'"),
        (b"path;label\na.png;cat\n", "separated by commas"),
        (b"path,class\na.png,cat\n", "no column 'label'"),
        ("path,label\nä.png,cat\n".encode("latin-1"), "save it as CSV in UTF-8"),
        (b"path,label\n" + b"x" * 200_000 + b",cat\n", "cannot be read"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "cannot be read"),
    ],
    ids=["empty", "path", "semicolons", "label", "latin", "huge field", "an image"],
)
def test_a_file_that_is_no_such_csv(content, words, tmp_path):
    (tmp_path / "list.csv").write_bytes(content)
    line = refusal(described(tmp_path / "list.csv").load)
    assert words in line
    assert "list.csv" in line


@pytest.mark.parametrize(
    ("folders", "words"),
    [
        ({"mine": {"path": "gone"}}, "dataset 'mine': not found"),
        ({"mine": {"path": "gone[/b]"}}, "dataset 'mine': not found"),
        ({"mine": {"path": "data", "base": ["cow"]}}, "there is no class 'cow'"),
        ({"toy": {"path": "data"}}, "'toy' is the name of another dataset"),
    ],
)
def test_the_command_line_tells_it_in_one_line(folders, words, cli, tmp_path, backbone_folders):
    flat(tmp_path / "data")
    file = pairs_file(tmp_path, backbone_folders, folders, datasets=list(folders))
    done = cli("--dry-run", f"--upgrade-pairs={file}", f"--out={tmp_path}/o", "--device=cpu")
    assert done.status == 2
    assert "Traceback" not in done.err
    last = done.err.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert words in last
    assert "(fix: " in last
