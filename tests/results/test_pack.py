"""A pack is read as it was written, or refused in one line."""

from __future__ import annotations

import io
import json
import random
import zipfile
from pathlib import Path

import pytest

from benchmark.config.errors import UserError
from benchmark.results import pack

MEMBERS = {"b.txt": b"text" * 50, "a/a.bin": bytes(range(256))}


def entries(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def with_manifest(**change: object) -> bytes:
    members = entries(pack.content(MEMBERS, "1.0"))
    told = json.loads(members[pack.MANIFEST])
    return zipped({**members, pack.MANIFEST: json.dumps(told | change).encode()})


def outcome_of(file: Path) -> dict[str, bytes] | str:
    try:
        return pack.read(file)
    except UserError as error:
        return str(error)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "x.pack"


def test_it_is_read_as_it_was_written(file: Path) -> None:
    file.write_bytes(pack.content(MEMBERS, "1.0"))
    assert pack.read(file) == MEMBERS
    assert pack.content(dict(reversed(MEMBERS.items())), "1.0") == file.read_bytes(), "the same bytes in any order"
    told = json.loads(entries(file.read_bytes())[pack.MANIFEST])
    assert (told["schema"], told["suite"], list(told["members"])) == (pack.SCHEMA, "1.0", ["a/a.bin", "b.txt"])


SOUND = entries(pack.content(MEMBERS, "1.0"))
REFUSED = {
    "not a zip": (b"PK, or not", "is no pack, or is damaged"),
    "empty": (b"", "is no pack, or is damaged"),
    "truncated": (pack.content(MEMBERS, "1.0")[:-40], "is no pack, or is damaged"),
    "foreign zip": (zipped({"x": b"y"}), "is no pack: it has no manifest.json"),
    "edited": (zipped({**SOUND, "b.txt": b"other"}), "b.txt is not what its manifest says"),
    "a member less": (zipped({name: SOUND[name] for name in SOUND if name != "b.txt"}), "it has no b.txt"),
    "a member more": (zipped({**SOUND, "c": b""}), "its manifest does not name c"),
    "packed again": (zipped(SOUND, zipfile.ZIP_DEFLATED), "was packed again by another program"),
    "manifest not JSON": (zipped({**SOUND, pack.MANIFEST: b"{"}), "its manifest.json is not JSON"),
    "manifest nested": (zipped({**SOUND, pack.MANIFEST: b"[" * 100_000}), "its manifest.json is not JSON"),
    "manifest a list": (zipped({**SOUND, pack.MANIFEST: b"[]"}), "is no pack of this suite"),
    "other format": (with_manifest(format="other"), "is no pack of this suite"),
    "later": (with_manifest(schema=pack.SCHEMA + 1, suite="9.1"), "was written by a later version, 9.1"),
    "schema a text": (with_manifest(schema="x"), "manifest.json: schema"),
    "members a list": (with_manifest(members=[]), "manifest.json: members"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_sound_pack_is_refused(name: str, file: Path) -> None:
    content, words = REFUSED[name]
    file.write_bytes(content)
    with pytest.raises(UserError) as caught:
        pack.read(file)
    assert words in str(caught.value)
    assert str(file) in str(caught.value)
    assert "(fix: " in str(caught.value)


def test_an_absent_one_is_named(file: Path) -> None:
    with pytest.raises(UserError, match=r"x\.pack does not exist"):
        pack.read(file)


@pytest.mark.parametrize("seed", range(40))
def test_a_changed_byte_is_found_or_changes_nothing(seed: int, file: Path) -> None:
    draw, content = random.Random(seed), bytearray(pack.content(MEMBERS, "1.0"))
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    file.write_bytes(content)
    outcome = outcome_of(file)
    assert outcome == MEMBERS or str(file) in outcome


def test_what_counts_as_a_pack(tmp_path: Path) -> None:
    assert pack.is_pack(tmp_path / "absent.pack")
    assert not pack.is_pack(tmp_path / "absent")
    (tmp_path / "folder.pack").mkdir()
    assert not pack.is_pack(tmp_path / "folder.pack")
    (tmp_path / "renamed.zip").write_bytes(b"")
    assert pack.is_pack(tmp_path / "renamed.zip")
