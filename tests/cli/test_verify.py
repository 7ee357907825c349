"""Damage of every kind is found by ``verify``, and repaired by running the same command again."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

OPTIONS = ["--device=cpu", "--workers=0", "--datasets=toy", "--protocols=base-to-new", "--no-report", "--methods=coop"]
OPTIONS += ["--set=coop.steps=2"]


@pytest.fixture(scope="module")
def finished(world, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("finished") / "results"
    done = world.call(*OPTIONS, f"--out={out}")
    assert done.status == 0, done.err
    return out


@pytest.fixture
def copy(finished, tmp_path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "results"))


def files(root: Path) -> dict[str, bytes]:
    return {str(file.relative_to(root)): file.read_bytes() for file in sorted(root.rglob("*")) if file.is_file()}


def test_a_sound_folder(cli, copy):
    before = files(copy)
    done = cli("verify", str(copy))
    assert done.status == 0, done.out
    assert "0 problems" in done.out
    assert files(copy) == before, "nothing is changed"


DAMAGES = {
    "module.safetensors": "module.safetensors is damaged",
    "predictions.npz": "predictions.npz is damaged",
    "record.json": "its record is damaged",
}


@pytest.mark.parametrize(("name", "how"), [("module.safetensors", "a bit"), ("predictions.npz", "gone")])
def test_a_damaged_cell_is_found_and_computed_again(cli, copy, name, how):
    """To the byte: the tables and the cell are what they were."""
    tables = {name: (copy / name).read_bytes() for name in ("results.csv", "uncertainty.csv")}
    file = sorted(copy.glob(f"cells/*/*/{name}"))[-1]
    content = file.read_bytes()
    if how == "gone":
        file.unlink()
    else:
        middle = len(content) // 2
        flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        file.write_bytes(flipped)
    found = cli("verify", str(copy))
    assert found.status == 1
    assert str(file.parent) in found.out
    done = cli(*OPTIONS, f"--out={copy}")
    assert done.status == 0, done.err
    assert "not verify and will be computed again" in done.err
    assert how == "gone" or DAMAGES[name] in found.out
    assert {name: (copy / name).read_bytes() for name in tables} == tables
    assert name == "record.json" or file.read_bytes() == content
    assert cli("verify", str(copy)).status == 0


def test_an_edited_accuracy_does_not_count(cli, copy):
    """The predictions beside it say something else."""
    file = next(file for file in sorted(copy.glob("cells/*/*/record.json")) if '"accuracy"' in file.read_text())
    file.write_text(re.sub(r'"base": [\d.]+', '"base": 0.99', file.read_text()))
    assert cli("verify", str(copy)).status == 1


@pytest.mark.parametrize("name", ["results.csv", "runs.csv", "uncertainty.csv"])
def test_an_edited_table_is_found_and_not_reported(cli, copy, name, tmp_path):
    text = (copy / name).read_text()
    (copy / name).write_text(text[: len(text) * 2 // 3])
    assert f"{name} is not the file" in cli("verify", str(copy)).out
    done = cli("report", str(copy), f"--report={tmp_path}/x.html")
    assert done.status == 2
    assert done.err.count("\n") == 1
    assert not (tmp_path / "x.html").exists()


def test_damaged_features_are_found_and_not_used(cli, copy):
    file = next((copy / "features").glob("*.safetensors"))
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    assert f"{file}: damaged" in cli("verify", str(copy)).out
    others = [each for each in (copy / "features").glob("*.safetensors") if each != file]
    for other in others:
        other.write_bytes(b"")
    done = cli("verify", str(copy))
    assert f"{len(others)} more file" in done.out
    assert done.out.count("damaged, or of an earlier version") == 1, "a whole cache is one line"


def test_what_is_no_results_folder(cli, tmp_path):
    done = cli("verify", str(tmp_path))
    assert done.status == 2
    assert "is no results folder" in done.err
