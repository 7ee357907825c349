"""Every file of a user's folder is read, or counted among those that are not, or the folder is refused in one line."""

from __future__ import annotations

import csv
import io
import os
import shutil
from pathlib import Path

import pytest
from fixtures.folders import CLASSES, described, draw, flat, parts, refusal
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.config.errors import UserError
from benchmark.data.coop.files import SUFFIXES, is_image
from benchmark.data.coop.user_files import PARTS, Found, read_rows


def outcome(path: Path) -> Found | UserError:
    """What is read, or the refusal; anything else that is raised fails the test."""
    try:
        return read_rows(path)
    except UserError as error:
        return error


def renamed(root: Path, **names: str) -> Path:
    parts(root)
    for old, new in names.items():
        (root / old).rename(root / f"{new}_")
        (root / f"{new}_").rename(root / new)  # on a disk that ignores case
    return root


# --- the parts of a split --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("val", ["val", "valid", "validation", "dev", "Valid", "DEV"])
def test_validation_images_are_found_by_any_name(val, tmp_path):
    splits = described(renamed(tmp_path / "data", val=val)).load()
    assert (len(splits.train), len(splits.val), len(splits.test)) == (20, 8, 12)
    assert not splits.warnings


@pytest.mark.parametrize(("train", "test"), [("Train", "Test"), ("training", "testing"), ("TRAINING", "test")])
def test_so_are_training_and_test_images(train, test, tmp_path):
    splits = described(renamed(tmp_path / "data", train=train, test=test)).load()
    assert (len(splits.train), len(splits.val), len(splits.test)) == (20, 8, 12)


@pytest.mark.parametrize("missing", ["train", "test"])
def test_half_a_split_is_refused(missing, tmp_path):
    """Never with the advice to remove what is there."""
    shutil.rmtree(parts(tmp_path / "data") / missing)
    line = refusal(lambda: read_rows(tmp_path / "data"))
    assert f"but no {missing}/" in line
    assert "remove" not in line


def test_an_empty_part_is_no_class(tmp_path):
    shutil.rmtree(parts(tmp_path / "data") / "test")
    (tmp_path / "data" / "test").mkdir()
    assert "no test image" in refusal(described(tmp_path / "data").load)


def test_two_folders_for_one_part_are_refused(tmp_path):
    shutil.copytree(parts(tmp_path / "data") / "val", tmp_path / "data" / "valid")
    assert "val and valid are both folders of val images" in refusal(lambda: read_rows(tmp_path / "data"))


def test_parts_without_class_folders_are_refused(tmp_path):
    for part in ("train", "test"):
        draw(tmp_path / part / "1.png", "boat", 1)
    assert "not in class folders" in refusal(lambda: read_rows(tmp_path))


def test_a_class_may_be_called_train(tmp_path):
    (flat(tmp_path) / "house").rename(tmp_path / "train")
    assert {row.label for row in read_rows(tmp_path).rows} == {"boat", "cat", "dog", "train"}


# --- what is not read ------------------------------------------------------------------------------------------------


def test_what_is_skipped_is_counted_and_said(tmp_path):
    """By suffix or place; macOS's shadow folder and unlabelled images are no classes."""
    root = parts(tmp_path / "data")
    (root / "train" / "cat" / "a.heic").write_bytes(b"")
    (root / "train" / "cat" / "b.HEIC").write_bytes(b"")
    (root / "train" / "cat" / "more").mkdir()
    draw(root / "train" / "cat" / "more" / "c.png", "cat", 1)
    draw(root / "train" / "d.png", "cat", 1)
    for number in range(3):
        draw(root / "unlabeled" / f"{number}.png", "cat", number)
        draw(root / "__MACOSX" / "cat" / f"{number}.png", "cat", number)
    (root / "licence.txt").write_text("")
    splits = described(root).load()
    assert splits.classes == CLASSES
    (warning,) = splits.warnings
    for words in (
        "2 .heic",
        "1 in subfolders of a class",
        "1 outside the class folders",
        "3 in 'unlabeled'",
        "3 in '__MACOSX'",
    ):
        assert words in warning
    assert "txt" not in warning


def test_unlabelled_images_beside_classes(tmp_path):
    draw(flat(tmp_path) / "Unlabelled" / "1.png", "cat", 1)
    found = read_rows(tmp_path)
    assert {row.label for row in found.rows} == set(CLASSES)
    assert found.skipped == {"in 'Unlabelled'": 1}


@pytest.mark.parametrize("layout", [flat, parts])
def test_a_class_that_yields_nothing_is_an_error_that_says_what_it_holds(layout, tmp_path):
    place = layout(tmp_path) / ("train" if layout is parts else "") / "lorry"
    (place / "old").mkdir(parents=True)
    for name in ("1.heic", "2.heic", "old/3.png"):
        (place / name).write_bytes(b"x")
    line = refusal(lambda: read_rows(tmp_path))
    assert "a class without images; it holds 2 .heic, 1 in subfolders of a class" in line
    assert str(place) in line


# --- any tree --------------------------------------------------------------------------------------------------------

PART_NAMES = ["train", "Train", "val", "valid", "dev", "test", "testing"]
NAMES = st.sampled_from([*PART_NAMES, "cat", "dog", "__MACOSX", "unlabeled", ".git", "ü", "a b", "x"])
FILES = st.sampled_from(["1.png", "2.JPG", "3.gif", "4.heic", "5", ".hidden", "6.txt", "7.png", "8.tar.gz"])
TREES = st.lists(st.tuples(st.lists(NAMES, max_size=3).map(tuple), FILES), max_size=25)


def read_all_or_refuse(root: Path, tree) -> None:
    for folders, name in tree:
        place = root.joinpath(*folders)
        place.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(b"x")
    visible = [
        Path(folder, name).relative_to(root).as_posix()
        for folder, _, names in os.walk(root)
        for name in names
        if not any(part.startswith(".") for part in Path(folder, name).relative_to(root).parts)
    ]
    found = outcome(root)
    if isinstance(found, UserError):
        assert found.fix
        assert "\n" not in str(found)
        return
    assert len({row.path for row in found.rows}) == len(found.rows)
    assert {row.path for row in found.rows} <= set(visible)
    assert all(is_image(row.path) and row.label and row.part in ("", *PARTS) for row in found.rows)
    assert len(found.rows) + found.skipped.total() + found.others == len(visible)


@settings(max_examples=200, deadline=None)
@given(TREES)
def test_every_file_is_read_or_counted_or_the_folder_is_refused(tmp_path_factory, tree):
    read_all_or_refuse(tmp_path_factory.mktemp("tree"), tree)


@pytest.mark.slow
@settings(max_examples=2000, deadline=None)
@given(TREES)
def test_many_trees(tmp_path_factory, tree):
    read_all_or_refuse(tmp_path_factory.mktemp("tree"), tree)


# --- CSV -------------------------------------------------------------------------------------------------------------


def write(folder: Path, text: str) -> Path:
    (folder / "list.csv").write_text(text, encoding="utf-8")
    return folder / "list.csv"


def test_blanks_after_commas_and_blank_rows_are_harmless(tmp_path):
    """As people and spreadsheets write them."""
    found = read_rows(write(tmp_path, 'path, label, split\na.png, cat, train\nb.png, "sofa, big", test\n,,\n , ,\n'))
    assert found.rows == [("a.png", "cat", "train"), ("b.png", "sofa, big", "test")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("path,label\na.png,sofa, big\n", ":2: 3 fields, but 2 columns"),
        ("path,label,label\na.png,cat,dog\n", "column 'label' is given twice"),
        ('path,label\n"a.png,cat\n', "cannot be read"),
        ("path;label\na.png;cat\n", "separated by commas"),
        ("", "no column 'path'"),
    ],
)
def test_what_would_be_read_wrongly_is_refused(text, words, tmp_path):
    assert words in refusal(lambda: read_rows(write(tmp_path, text)))


@pytest.mark.parametrize("kind", ["fifo", "device"])
def test_what_never_ends_is_not_read(kind, tmp_path):
    file = Path("/dev/zero")
    if kind == "fifo":
        file = tmp_path / "list.csv"
        os.mkfifo(file)
    assert "neither a folder nor a file" in refusal(lambda: read_rows(file))


FIELDS = st.text(st.characters(codec="utf-8", exclude_characters="\r\x00"), max_size=6)
ROWS = st.lists(st.tuples(FIELDS, FIELDS, st.sampled_from(["train", "val", "test", "", "x"])), max_size=8)
HEADERS = st.sampled_from([["path", "label", "split"], ["path", "label"], [" label", "path", "note"], ["path"], []])


def read_rows_or_refuse(folder: Path, header, rows) -> None:
    text = io.StringIO()
    csv.writer(text).writerows([header, *(row[: len(header)] for row in rows)])
    found = outcome(write(folder, text.getvalue()))
    if isinstance(found, UserError):
        assert found.fix
        assert "\n" not in str(found)
        return
    filled = [row for row in rows if any(field.strip() for field in row[: len(header)])]
    assert len(found.rows) == len(filled)
    names = [name.strip() for name in header]
    for row, given_row in zip(found.rows, filled, strict=True):
        assert row.label == given_row[names.index("label")].strip()


@settings(max_examples=200, deadline=None)
@given(HEADERS, ROWS)
def test_every_row_is_read_or_the_file_is_refused(tmp_path_factory, header, rows):
    read_rows_or_refuse(tmp_path_factory.mktemp("csv"), header, rows)


@pytest.mark.slow
@settings(max_examples=2000, deadline=None)
@given(HEADERS, ROWS)
def test_many_csvs(tmp_path_factory, header, rows):
    read_rows_or_refuse(tmp_path_factory.mktemp("csv"), header, rows)


def test_the_suffixes_are_those_of_images():
    assert {".jfif", ".gif", ".pgm", ".jpe"} < set(SUFFIXES)
