"""The end of a run: what it says and its exit status."""

from __future__ import annotations

from types import SimpleNamespace

import pandas as pd
import pytest

from benchmark.cli import finish
from benchmark.report.model import Answer


@pytest.fixture
def end(monkeypatch, tmp_path):
    """End a session whose cells have these statuses; returns the exit status and what is printed."""
    monkeypatch.setattr(finish, "_print_summary", lambda run, rows, console: None)
    monkeypatch.setattr(finish.report, "first_tables", lambda run: SimpleNamespace(rows=[]))
    monkeypatch.setattr(finish, "save", lambda run: None)

    def write(page, run, findings, *, first, files):
        page.write_text(run.command)
        return SimpleNamespace(answers=[Answer("a → b", "", "keep m", "helps", "It helps.")])

    monkeypatch.setattr(finish.report, "write", write)

    def call(*statuses: str | None) -> tuple[int, str]:
        runs = pd.DataFrame({"status": [status for status in statuses if status]})
        monkeypatch.setattr(
            finish,
            "collect",
            lambda session, command, *, pictures: SimpleNamespace(folder=tmp_path, command=command, runs=runs),
        )
        plan, store = SimpleNamespace(cells=lambda: iter(statuses)), SimpleNamespace(root=tmp_path)
        return finish.finish(SimpleNamespace(plan=plan, store=store), tmp_path / "r.html", ["--seeds=1"])

    return call


@pytest.mark.parametrize(
    ("statuses", "status", "line"),
    [
        (["ok", "incompatible", "ok"], 0, "cells: 2 ok, 1 incompatible"),
        (["skipped", "ok"], 0, "cells: 1 ok, 1 skipped"),
        (["failed", "ok"], 1, "cells: 1 ok, 1 failed"),
        (["blocked", "diverged"], 1, "cells: 1 blocked, 1 diverged"),
        (["ok", None], 1, "cells: 1 ok, 1 not run"),
    ],
)
def test_the_exit_status(statuses, status, line, end, capsys, tmp_path):
    ended, printed = end(*statuses)
    assert ended == status
    assert line in printed
    assert "a → b: keep m. It helps." in printed
    assert printed == capsys.readouterr().out
    assert (tmp_path / "r.html").read_text() == "clip-compat --seeds=1"
