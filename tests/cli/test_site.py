"""``site``: static pages from packs, and mistakes in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from fixtures.command import run
from fixtures.packs import made, put

pytest.importorskip("pyarrow")


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return put(tmp_path_factory.mktemp("packs") / "a.pack", made("prompt", "adapter"))


def test_pages_are_written_and_written_again_the_same(packed: Path, tmp_path: Path) -> None:
    other = put(tmp_path / "b.pack", made("prompt-b"))
    for folder, files in (("x", [packed, other]), ("y", [other, packed, packed])):
        done = run("site", str(tmp_path / folder), *map(str, files))
        assert done.status == 0, done.err
        assert "index.html and 2 upgrades, from 2 packs" in done.err
    one, two = ({file.name: file.read_bytes() for file in (tmp_path / name).iterdir()} for name in ("x", "y"))
    assert one == two
    assert len(one) == 3
    assert str(tmp_path).encode() not in b"".join(one.values()), "nothing of this machine"


def test_mistakes_are_one_line(packed: Path, tmp_path: Path) -> None:
    (tmp_path / "text.pack").write_text("text")
    cases = {
        "is a file": [str(packed), str(packed)],
        "does not exist": [str(tmp_path / "site"), str(tmp_path / "none.pack")],
        "is no pack": [str(tmp_path / "site"), str(packed), str(tmp_path / "text.pack")],
        "is a folder, not a pack": [str(tmp_path / "site"), str(tmp_path)],
        "PACK": [str(tmp_path / "site")],
    }
    for words, given in cases.items():
        done = run("site", *given)
        assert done.status == 2, words
        assert words in done.err
        assert done.err.count("\n") == 1
        assert not (tmp_path / "site").exists()
