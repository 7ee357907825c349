"""A pack: one file with the tables of a results folder, for publishing: a zip whose manifest has all hashes."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, Field

from benchmark.config.errors import UserError
from benchmark.config.files import sha256
from benchmark.config.validation import check

SUFFIX = ".pack"
MANIFEST = "manifest.json"
FORMAT = "clip-compat-bench pack"
SCHEMA = 1
"""Version of the members and of the manifest."""
AGAIN = "get the file again from where it was published"
_TIME = (1980, 1, 1, 0, 0, 0)


class _Manifest(BaseModel):
    """The content of manifest.json."""

    format: str = Field(pattern=f"^{FORMAT}$")
    version: int = Field(alias="schema", ge=1, le=SCHEMA)
    suite: str
    """Version of the suite that wrote the pack."""
    members: dict[str, str]
    """SHA-256 of every other member, by name."""


def is_pack(place: Path) -> bool:
    """Whether a path names a pack rather than a results folder; it need not exist."""
    return place.is_file() or (place.suffix.lower() == SUFFIX and not place.is_dir())


def content(members: Mapping[str, bytes], suite: str) -> bytes:
    """The bytes of a pack; the same members give the same bytes.

    Args:
        members: What is in it, by name.
        suite: Version of the suite.
    """
    hashes = {name: sha256(members[name]) for name in sorted(members)}
    manifest = {"format": FORMAT, "schema": SCHEMA, "suite": suite, "members": hashes}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:  # Parquet is compressed already
        for name in (MANIFEST, *hashes):
            entry = zipfile.ZipInfo(name, _TIME)
            entry.create_system, entry.external_attr = 3, 0o644 << 16  # the same on every system
            archive.writestr(entry, _json(manifest) if name == MANIFEST else members[name])
    return buffer.getvalue()


def read(file: Path) -> dict[str, bytes]:
    """The members of a pack by name, each as its manifest says; without the manifest.

    Raises:
        UserError: it is no pack, is damaged, was edited, or was written by a later version.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            names = [entry.filename for entry in entries]
            if MANIFEST not in names:
                raise UserError(f"{file} is no pack: it has no {MANIFEST}", fix="name a file that the command 'pack' wrote")
            if len(set(names)) < len(names) or any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
                raise UserError(f"{file} was packed again by another program", fix=AGAIN)
            members = {name: archive.read(name) for name in names}
    except FileNotFoundError:
        raise UserError(f"{file} does not exist", fix="check the path of the pack") from None
    except zipfile.BadZipFile as error:
        what = f"{file} is no pack, or is damaged: {error}"
        raise UserError(what, fix="name a results folder or a whole file that the command 'pack' wrote") from None
    except (OSError, EOFError, ValueError, RuntimeError, NotImplementedError, zlib.error) as error:
        raise UserError(f"{file} cannot be read: {type(error).__name__}: {error}", fix=AGAIN) from None
    expected = _manifest(file, members.pop(MANIFEST)).members
    for name in sorted(expected.keys() | members.keys()):
        if name not in members:
            raise UserError(f"{file} is damaged or was edited: it has no {name}", fix=AGAIN)
        if name not in expected:
            raise UserError(f"{file} was edited: its manifest does not name {name}", fix=AGAIN)
        if sha256(members[name]) != expected[name]:
            raise UserError(f"{file} is damaged or was edited: {name} is not what its manifest says", fix=AGAIN)
    return members


def _manifest(file: Path, text: bytes) -> _Manifest:
    """The checked manifest."""
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        raise UserError(f"{file} is damaged: its {MANIFEST} is not JSON", fix=AGAIN) from None
    if not isinstance(told, dict) or told.get("format") != FORMAT:
        raise UserError(f"{file} is no pack of this suite", fix="name a file that the command 'pack' wrote")
    if isinstance(told.get("schema"), int) and told["schema"] > SCHEMA:
        raise UserError(f"{file} was written by a later version, {told.get('suite')}", fix="update this checkout")
    return check(_Manifest, told, where=f"{file}: {MANIFEST}", fix=AGAIN)


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=1) + "\n").encode()
