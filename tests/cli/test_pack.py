"""``pack``: one file of a results folder, which the other commands read like the folder."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from fixtures.command import run
from fixtures.results import made_up_results, made_up_run

from benchmark.analysis import findings
from benchmark.results import archive, pack, tables

pytest.importorskip("pyarrow")
DRIFT = pd.DataFrame(
    [("v1->v2", "text", 0, "input", "cka", 0.5, 8)], columns="pair tower order stage metric value n".split()
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with a finding."""
    folder = tmp_path_factory.mktemp("made") / "mine"
    archive.save(replace(made_up_run(made_up_results(), pd.DataFrame(columns=tables.RUN_COLUMNS)), folder=folder))
    made = findings.Provenance("c", "2025-01-02T03:04:05Z", 1.0, "icons", "Icons", (1,), "cpu")
    findings.save(folder, "drift", findings.Finding(DRIFT, made))
    return folder


@pytest.fixture(scope="module")
def packed(folder: Path) -> Path:
    file = folder.with_name("mine.pack")
    done = run("pack", str(folder), "--out", str(file))
    assert done.status == 0, done.err
    return file


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmark.report.page._drawings", lambda *_: [])


def test_it_has_the_tables_and_findings_and_nothing_else(packed: Path) -> None:
    with zipfile.ZipFile(packed) as members:
        names = ["results.parquet", "run.json", "runs.parquet", "uncertainty.parquet"]
        assert members.namelist() == ["manifest.json", "analysis/drift-icons.csv", "analysis/drift-icons.json", *names]
        told = json.loads(members.read("manifest.json"))
    assert told["schema"] == 1
    assert told["suite"].count(".") == 2


def test_the_same_folder_gives_the_same_bytes(packed: Path, folder: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = run("pack", str(folder))
    assert done.status == 0, done.err
    assert (tmp_path / "mine.pack").read_bytes() == packed.read_bytes()


def test_it_is_read_like_the_folder(packed: Path, folder: Path) -> None:
    one, other = archive.read(folder), archive.read(packed)
    for name in archive.FORMS:
        pd.testing.assert_frame_equal(getattr(one, name), getattr(other, name))
    assert (one.about, one.datasets, one.methods) == (other.about, other.datasets, other.methods)
    assert other.folder == packed
    assert findings.load(packed)["drift"][0].provenance == findings.load(folder)["drift"][0].provenance


@pytest.mark.usefixtures("undrawn")
def test_report_and_show_are_those_of_the_folder(packed: Path, folder: Path, tmp_path: Path) -> None:
    for source, name in ((folder, "a"), (packed, "b")):
        done = run("report", str(source), f"--report={tmp_path / name}.html")
        assert done.status == 0, done.err
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert (tmp_path / "b.html").read_text(encoding="utf-8") == page
    assert "cka" in page.lower(), "the finding is in both"
    assert run("show", str(packed)).out == run("show", str(folder)).out


@pytest.mark.usefixtures("undrawn")
def test_packs_and_folders_are_mixed(packed: Path, folder: Path, tmp_path: Path) -> None:
    more = archive.read(folder)
    named = more.results[more.results.method == "prompt"].assign(method="prompt-new")
    archive.save(replace(more, folder=tmp_path / "more", results=named))
    done = run("report", str(packed), str(tmp_path / "more"), f"--report={tmp_path}/x.html")
    assert done.status == 0, done.err
    page = (tmp_path / "x.html").read_text(encoding="utf-8")
    assert ">prompt-new<" in page
    assert ">prompt-b<" in page


CONFLICTS = {
    "value": "values differ between",
    "device": "cuda",
    "weights": "other weights",
    "shots": "4 shots",
    "finding": "'drift'",
}


@pytest.mark.parametrize("kind", CONFLICTS)
def test_conflicts_name_the_packs(kind: str, packed: Path, folder: Path, tmp_path: Path) -> None:
    other, file = archive.read(folder), tmp_path / "other.pack"
    results, about = other.results, other.about
    if kind == "value":
        results = results.assign(value=results.value + 1)
    elif kind == "shots":
        results = results.assign(shots=4)
    elif kind == "device":
        about = replace(about, device="cuda:0")
    elif kind == "weights":
        about = replace(about, backbones=[{"name": "v1", "digest": "0" * 64}])
    archive.save(replace(other, folder=tmp_path / "other", results=results, about=about))
    more = findings.packed(folder) if kind == "finding" else {}
    file.write_bytes(archive.packed(tmp_path / "other", more))
    done = run("report", str(packed), str(file), f"--report={tmp_path}/x.html")
    assert done.status == 2
    assert done.err.count("\n") == 1
    for words in (str(packed), str(file), CONFLICTS[kind]):
        assert words in done.err


def test_damage_is_one_line_for_every_reader(packed: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.pack"
    content = bytearray(packed.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    for command in (["report", f"--report={tmp_path}/x.html"], ["show"], ["verify"]):
        done = run(*command, str(damaged))
        assert done.status == 2, command
        assert done.err.count("\n") == 1
        assert str(damaged) in done.err
    assert run("verify", str(packed)).out == "1 pack, 0 problems\n"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("results.parquet", b"no", "it is not Parquet"),
        ("results.parquet", "runs.parquet", "no column 'pair'"),
        ("run.json", b"{", "cannot be read"),
        ("run.json", b'{"schema": 99}', "was written by a later version"),
        ("analysis/drift-icons.json", b"{", "drift-icons.csv cannot be read"),
        ("runs.parquet", None, "it has no runs.parquet"),
    ],
)
def test_a_wrong_member_is_one_line(
    name: str, content: bytes | str | None, words: str, packed: Path, tmp_path: Path
) -> None:
    """With a manifest that fits: made on purpose."""
    members, file = pack.read(packed), tmp_path / "x.pack"
    if content is None:
        del members[name]
    else:
        members[name] = members[content] if isinstance(content, str) else content
    file.write_bytes(pack.content(members, "1.0"))
    done = run("show", str(file))
    assert done.status == 2
    assert words in done.err
    assert str(file) in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["{tmp}/none"], "has no finished results"),
        (["{pack}"], "is not a results folder"),
        (["{folder}", "--out={tmp}/x.zip"], "write {tmp}/x.zip.pack"),
        (["{folder}", "--out={tmp}/dir.pack"], "is a folder"),
        ([], "RESULTS"),
    ],
)
def test_mistakes_are_one_line(given: list[str], words: str, packed: Path, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "dir.pack").mkdir()
    places = {"tmp": tmp_path, "pack": packed, "folder": folder}
    done = run("pack", *(text.format(**places) for text in given))
    assert done.status == 2
    assert words.format(**places) in done.err
    assert done.err.count("\n") == 1


def test_an_edited_folder_is_not_packed(folder: Path, tmp_path: Path) -> None:
    archive.save(replace(archive.read(folder), folder=tmp_path / "edited"))
    (tmp_path / "edited" / "runs.csv").write_text("key\n")
    done = run("pack", str(tmp_path / "edited"), f"--out={tmp_path}/x.pack")
    assert done.status == 2
    assert "damaged or was edited" in done.err
    assert not (tmp_path / "x.pack").exists()


@pytest.mark.parametrize("command", ["pack", "show"])
def test_without_pyarrow_it_is_one_line(command: str, folder: Path, packed: Path, monkeypatch) -> None:
    monkeypatch.setattr("benchmark.results.table_files.find_spec", lambda name: None)
    done = run(command, str(folder if command == "pack" else packed))
    assert done.status == 2
    assert "pip install pyarrow" in done.err
    assert done.err.count("\n") == 1
