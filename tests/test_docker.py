"""The Dockerfile: what it copies is there, what it starts exists, and it does not run as root.

No engine is needed for these; where one runs, the slow test lets it check and build the image.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from fnmatch import fnmatch
from pathlib import Path

import pytest
import tomllib

ROOT = Path(__file__).resolve().parents[1]


def instructions() -> list[tuple[str, str]]:
    """(instruction, its text) of the Dockerfile, continued lines joined."""
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if line.strip() and not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [(line.split()[0], " ".join(line.split()[1:])) for line in joined.splitlines()]


def last(name: str) -> str:
    return [text for instruction, text in instructions() if instruction == name][-1]


def test_every_instruction_is_one():
    known = {"ARG", "FROM", "RUN", "COPY", "ENV", "WORKDIR", "VOLUME", "USER", "ENTRYPOINT", "CMD"}
    assert {name for name, _ in instructions()} <= known
    assert instructions()[0][0] == "ARG"


def test_it_starts_the_command_and_not_as_root():
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert json.loads(last("ENTRYPOINT"))[0] in scripts
    assert last("USER") not in ("root", "0")
    names = [name for name, _ in instructions()]
    assert names.index("USER") > max(place for place, name in enumerate(names) if name == "COPY")


def test_results_are_in_the_volume_and_the_program_is_not():
    assert last("WORKDIR") == last("VOLUME") == "/work"
    target = last("COPY").split()[-1]
    assert not target.startswith("/work")
    assert f"PATH={target}/bin:" in last("ENV")
    for variable in ("CLIP_COMPAT_CACHE", "HF_HOME"):
        assert f"{variable}=/work/" in last("ENV")


def test_what_the_package_needs_is_not_left_out_of_the_build():
    """Folders that pyproject.toml puts into the wheel, and the file that it reads."""
    ignored = (ROOT / ".dockerignore").read_text().split()
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    for name in (*wheel["packages"], *wheel["force-include"], "pyproject.toml", "README.md"):
        assert (ROOT / name).exists(), name
        assert not any(fnmatch(name, pattern) for pattern in ignored), name


def engine() -> bool:
    return bool(shutil.which("docker")) and subprocess.run(["docker", "info"], capture_output=True).returncode == 0


@pytest.mark.slow
@pytest.mark.skipif("not engine()", reason="no Docker engine runs here")
def test_an_engine_builds_it():
    subprocess.run(["docker", "build", "--check", "."], cwd=ROOT, check=True)
    subprocess.run(["docker", "build", "--tag", "clip-compat:test", "."], cwd=ROOT, check=True)
    done = subprocess.run(["docker", "run", "--rm", "clip-compat:test", "--list"], capture_output=True, text=True)
    assert "coop" in done.stdout
