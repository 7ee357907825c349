"""Files that commands make for the user: nothing is overwritten."""

from __future__ import annotations

import pytest

from benchmark.cli.new_file import write_new_file
from benchmark.config.errors import UserError


def test_folders_are_made(tmp_path):
    write_new_file(tmp_path / "a" / "b", "text \u2192", fix="")
    assert (tmp_path / "a" / "b").read_text(encoding="utf-8") == "text \u2192"


@pytest.mark.parametrize(
    ("place", "words"),
    [("file", "file exists (fix: choose another name, or remove it)"), ("folder", "folder exists"),
     ("file/below", "file is not a folder (fix: do that)"),
     ("file/far/below", "file/far is not a folder (fix: do that)")],
)  # fmt: skip
def test_places_that_are_taken(place, words, tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError) as caught:
        write_new_file(tmp_path / place, "text", fix="do that")
    assert words in str(caught.value)
    assert (tmp_path / "file").read_text() == "mine"
