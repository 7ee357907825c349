"""``analyse``: options, settings and the exit status. The answers are checked in ``tests/analysis``."""

from __future__ import annotations

import pandas as pd
import pytest

from benchmark.analysis.base import Analysis
from benchmark.cli import analyse
from benchmark.config.schema import Strict


class Numbers(Strict):
    """Settings of the analysis below."""

    points: int = 2


class Made(Analysis):
    """Gives the rows that a test wants, and computes nothing."""

    name, title, question, explains = "drift", "Made up", "?", True
    text_columns, number_columns = ("pair", "status", "reason"), ("value",)
    Settings = Numbers
    statuses: tuple[str, ...] = ()

    def run(self, study, settings):
        self.settings = settings
        return pd.DataFrame([{"pair": "a->b", "status": status, "reason": "why", "value": 1.0} for status in self.statuses])

    def overview(self, table):
        return "made up", table.set_index("pair")[["value"]]


@pytest.fixture
def made(monkeypatch) -> Made:
    """In place of the analysis of drift."""
    analysis = Made()
    monkeypatch.setattr(analyse, "find_analysis", lambda name: analysis)
    return analysis


@pytest.fixture
def run(cli, tmp_path):
    def command(*options: str):
        return cli("analyse", "drift", f"--out={tmp_path}/o", "--device=cpu", "--workers=0", "--methods=coop", *options)

    return command


@pytest.mark.parametrize(
    ("statuses", "status"),
    [((), 0), (("ok", "incompatible", "skipped"), 0), (("ok", "failed"), 1), (("diverged",), 1), (("blocked", "ok"), 1)],
)
def test_the_exit_status_says_whether_cells_failed(statuses, status, made, run):
    made.statuses = statuses
    done = run()
    assert done.status == status, done.err
    for wrong in {"failed", "diverged", "blocked"} & set(statuses):
        assert f"1 rows have no value: {wrong}" in done.err


@pytest.mark.parametrize("option", ["--cell-timeout=-1", "--workers=-1", "--seeds=x"])
def test_a_bad_option_is_one_line_and_status_2(option, run, tmp_path):
    done = run(option)
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith(f"error: clip-compat analyse: argument {option.partition('=')[0]}: ")
    assert done.err.count("\n") == 1
    assert not (tmp_path / "o").exists()


def test_settings(made, run):
    made.statuses = ("ok",)
    assert run("--set", "points=3").status == 0
    assert made.settings == Numbers(points=3)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("points", "--set points: not understood (fix: write KEY=VALUE)"),
        ("pionts=1", "did you mean 'points'?"),
        ("points=many", "analyse drift --set: points"),
        ("points=[1", "--set points=[1: the value is not understood"),
    ],
)
def test_a_bad_setting_is_one_line(setting, words, made, run):
    done = run("--set", setting)
    assert done.status == 2
    assert words in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(("option", "words"), [("--dataset=toyy", "'toy'"), ("--pairs=native->evaa", "'native->eva'")])
def test_an_unknown_name_has_a_suggestion(option, words, run):
    done = run(option)
    assert done.status == 2
    assert f"did you mean {words}?" in done.err


def test_a_method_that_fails_makes_it_exit_with_1(cli, tmp_path):
    """A true analysis, on cells that fail."""
    (tmp_path / "methods").mkdir()
    (tmp_path / "methods" / "boom.py").write_text(
        '"""d."""\n\nimport torch\nfrom torch import nn\n\nfrom benchmark.method import Info, Method\n\n\n'
        "class Boom(Method):\n"
        '    info = Info("boom", "Boom", "fails", ("features",), "deep", ours=True)\n'
        '    presets = {"small": {"steps": 2}}\n\n'
        "    def build(self):\n        self.gain = nn.Parameter(torch.zeros(1))\n\n"
        '    def loss(self, batch):\n        raise ValueError("on purpose")\n'
    )
    done = cli("analyse", "break-even", f"--plugins={tmp_path}", "--methods=boom", "--pairs=native->eva", "--seeds=1",
               f"--out={tmp_path}/o", "--device=cpu", "--workers=0")  # fmt: skip
    assert done.status == 1, done.err
    assert "Traceback" not in done.err
    assert "on purpose" in done.err
