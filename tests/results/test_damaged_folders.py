"""A results folder with any of its files damaged is reported, or refused in one line: never a traceback."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import random
import shutil
from pathlib import Path

import pytest

SETTINGS = ["--device=cpu", "--workers=0", "--datasets=toy", "--protocols=base-to-new", "--no-report", "--methods=coop"]
TABLES = ("results.csv", "runs.csv", "uncertainty.csv", "gallery.json")
STRANGE = ("", "x", "nan", "inf", "-1", "1e999", "[1]", "0x1", "é", "<b>", "1,5", "None", "9" * 30)
VALUES = (None, True, -1, 1.5, 10**30, "", "x", [], [[]], {}, {"a": []}, [None], {"name": {}}, float("nan"))


@pytest.fixture(scope="module")
def finished(world, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("finished") / "results"
    done = world.call(*SETTINGS, f"--out={out}", "--set=coop.steps=2")
    assert done.status == 0, done.err
    analysed = world.call("analyse", "drift", "--device=cpu", "--dataset=toy", f"--out={out}", "--methods=coop")
    assert analysed.status == 0, analysed.err
    return out


def places(content: object, path: tuple = ()) -> list[tuple]:
    """Where something is in a JSON, as paths."""
    found = [path] if path else []
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    return found + [place for key, value in items for place in places(value, (*path, key))]


def mutated_json(text: str, draw: random.Random) -> str:
    content = json.loads(text)
    *path, last = draw.choice(places(content))
    target = content
    for key in path:
        target = target[key]
    if draw.random() < 0.3:
        del target[last]
    else:
        target[last] = draw.choice(VALUES)
    return json.dumps(content)


def mutated_csv(text: str, draw: random.Random) -> str:
    rows = list(csv.reader(io.StringIO(text)))
    kind, column = draw.randrange(5), draw.randrange(len(rows[0]))
    if kind == 0:
        rows = [[*row[:column], *row[column + 1 :]] for row in rows]
    elif kind == 1:
        rows[0][column] = draw.choice(STRANGE)
    elif kind == 2 and len(rows) > 1:
        rows[draw.randrange(1, len(rows))][column] = draw.choice(STRANGE)
    elif kind == 3 and len(rows) > 1:
        rows[draw.randrange(1, len(rows))].append("more")
    else:
        return text[: draw.randrange(len(text))]
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()


def damage(folder: Path, draw: random.Random) -> str:
    """Change one file, as a careful forger would: the hashes still fit. Returns its name."""
    names = [*TABLES, "run.json", *(str(file.relative_to(folder)) for file in sorted((folder / "analysis").iterdir()))]
    name = draw.choice(names)
    text = (folder / name).read_text(encoding="utf-8")
    changed = mutated_json(text, draw) if name.endswith("json") else mutated_csv(text, draw)
    (folder / name).write_text(changed, encoding="utf-8")
    if name in TABLES:
        facts = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        facts["tables"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        (folder / "run.json").write_text(json.dumps(facts), encoding="utf-8")
    return name


def report_or_refuse(cli, finished: Path, place: Path, seed: int) -> None:
    folder = Path(shutil.copytree(finished, place / "results", ignore=shutil.ignore_patterns("cells", "features")))
    name = damage(folder, random.Random(seed))
    done = cli("report", str(folder), f"--report={place}/x.html")
    assert done.status in (0, 2), name
    if done.status == 2:
        assert done.err.count("\n") == 1, (name, done.err)
        assert "fix:" in done.err
        assert not (place / "x.html").exists()


@pytest.fixture
def undrawn(monkeypatch):
    monkeypatch.setattr("benchmark.report.page._drawings", lambda *_: [])


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("seed", range(12))
def test_a_damaged_file_is_reported_or_refused(seed, cli, finished, tmp_path):
    report_or_refuse(cli, finished, tmp_path, seed)


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("seed", range(12, 250))
def test_many_damaged_files(seed, cli, finished, tmp_path):
    report_or_refuse(cli, finished, tmp_path, seed)


@pytest.mark.parametrize("text", ["", "[]", "{}", "[" * 100_000, '{"about": 1, "datasets": [], "schema": "x"}', "\ufeff{"])
def test_no_run_json_at_all(text, cli, finished, tmp_path):
    folder = Path(shutil.copytree(finished, tmp_path / "results", ignore=shutil.ignore_patterns("cells", "features")))
    (folder / "run.json").write_text(text, encoding="utf-8")
    done = cli("report", str(folder), f"--report={tmp_path}/x.html")
    assert done.status == 2
    assert done.err.count("\n") == 1
