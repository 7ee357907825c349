"""``check-data`` says what was read of a data set and what looks wrong."""

from __future__ import annotations

import shutil

from fixtures.folders import described, draw, flat, pairs_file, parts
from PIL import Image


def check(cli, tmp_path, *given):
    return cli("check-data", *map(str, given), f"--sheet={tmp_path}/sheet.png")


def test_a_sound_folder(cli, tmp_path):
    done = check(cli, tmp_path, parts(tmp_path / "data"))
    assert done.status == 0, done.err
    for words in ("data: 4 classes", "train", "20", "nothing looks wrong", f"{tmp_path}/sheet.png"):
        assert words in done.out, words
    assert Image.open(tmp_path / "sheet.png").height > 4 * 96


def test_everything_that_looks_wrong_is_said_at_once(cli, tmp_path):
    root = parts(tmp_path / "data")
    shutil.copy(root / "train" / "cat" / "cat_00.png", root / "test" / "cat" / "again.png")
    shutil.copytree(root / "train" / "dog", root / "train" / "Dog")
    shutil.copytree(root / "test" / "dog", root / "test" / "Dog")
    (root / "train" / "cat" / "x.heic").write_bytes(b"x")
    (root / "train" / "boat" / "broken.png").write_bytes(b"")
    (root / "train" / "boat" / "cut.png").write_bytes((root / "train" / "boat" / "boat_00.png").read_bytes()[:-40])
    done = check(cli, tmp_path, root)
    assert done.status == 1
    for words in (
        "broken.png: an empty file",
        "cut.png: not a readable image",
        "2 images cannot be used",
        "1 .heic",
        "no prompt can tell 'Dog' and 'dog' apart",
        "identical: train train/cat/cat_00.png (cat), test test/cat/again.png (cat)",
    ):
        assert words in done.out, words


def test_a_data_set_by_its_name(cli, tmp_path):
    done = check(cli, tmp_path, "toy")
    assert done.status == 0, done.err
    assert "Toy patterns: 8 classes" in done.out
    done = check(cli, tmp_path, "toi")
    assert done.status == 2
    assert "did you mean 'toy'?, or name a folder or CSV" in done.err


def test_a_run_names_all_broken_images_before_its_first_cell(cli, tmp_path, backbone_folders):
    flat(tmp_path / "data")
    used = described(tmp_path / "data").load().test.images.paths[::4]
    for path in used:
        (tmp_path / "data" / path).write_bytes(b"")
    file = pairs_file(tmp_path, backbone_folders, {"mine": {"path": "data"}}, datasets=["mine"], methods=["coop"])
    options = (f"--upgrade-pairs={file}", f"--out={tmp_path}/out", "--no-report", "--device=cpu", "--workers=0")
    done = cli(*options, "--set=coop.steps=2")
    assert done.status == 2
    for path in used:
        assert f"{path}: an empty file" in done.err
    assert f"{len(used)} images cannot be used" in done.err
    assert not (tmp_path / "out" / "cells").exists()
    for path in used:
        draw(tmp_path / "data" / path, path.split("/")[0], 77)
    assert cli(*options, "--set=coop.steps=2").status == 0
