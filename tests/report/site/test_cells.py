"""The cells behind a row, and commands that are understood."""

from __future__ import annotations

import math
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from fixtures.packs import BACKBONES, made

from benchmark.cli.parser import parse
from benchmark.config.schema import RunSpec
from benchmark.config.validation import check
from benchmark.report.site.boards import Board, boards
from benchmark.report.site.cells import Cells, command, snippet
from benchmark.report.site.sources import Source, Upgrade, parts_of
from benchmark.results.archive import RunResults


def board_of(run: RunResults, place: int = 0) -> Board:
    return boards(parts_of([Source("a.pack", "0", replace(run, folder=Path("a.pack")))]))[place]


def cells_of(board: Board, method: str):
    return Cells(board).of(next(row for row in board.rows if row.method == method))


def test_values_are_those_of_the_results() -> None:
    run = made()
    cells = cells_of(board_of(run), "prompt")
    assert [(cell.dataset, cell.seed) for cell in cells] == [
        (name, seed) for name in ("digits", "icons") for seed in (1, 2, 3)
    ]
    cell = cells[3]
    rows = run.results[(run.results.pair == "v1->v2") & (run.results.dataset == "icons") & (run.results.seed == 1)]
    rows = (
        rows[(rows.protocol == "base-to-new") & (rows.metric == "accuracy")].set_index(["method", "strategy", "split"]).value
    )
    assert cell.reuse == tuple(rows["prompt", "reuse", split] for split in ("base", "new", "H"))
    assert (cell.old, cell.retrain) == (rows["prompt", "old", "H"], rows["prompt", "retrain", "H"])
    assert cell.lift == pytest.approx(rows["prompt", "reuse", "H"] - rows["zero", "reuse", "H"])
    assert (cell.images, cell.shots, cell.pack, cell.device, cell.torch) == (200, 16, "a.pack", "cpu", "2.9")


def test_the_training_and_the_file_of_the_method_are_named_where_they_are_recorded() -> None:
    cells = cells_of(board_of(made()), "prompt")
    assert (cells[3].key, cells[3].version) == ("0123456789abcdef0123", "version 1, file feedfacefeed")
    assert (cells[0].key, cells[0].version) == ("", "version 1")


def test_missing_values_have_their_reason() -> None:
    cell = cells_of(board_of(made(), 1), "adapter")[0]
    assert math.isnan(cell.reuse[-1])
    assert cell.reason == "reuse: incompatible, needs 128, has <96>; retrain: incompatible, needs 128, has <96>"


def test_the_command_asks_for_the_cell() -> None:
    (part,) = board_of(made(command="python run_benchmark.py --precision bf16", device="cuda:1")).parts
    words = shlex.split(command(part, "prompt", "n_ctx=4,roles=q+v", "icon s", 2, 8))
    assert words[:2] == ["python", "run_benchmark.py"]
    options = parse(words[2:])
    assert (options.methods, options.datasets, options.protocols) == (("prompt",), ("icon s",), ("base-to-new",))
    assert (options.seeds, options.shots, options.device, options.precision) == ((2,), 8, "cuda", "bf16")
    assert options.set == ["prompt.n_ctx=4", "prompt.roles=q+v"]


def test_lists_in_settings_are_written_as_the_command_line_takes_them() -> None:
    settings = {"prompt (roles=q+v)": {"roles": ["q", "v"]}}
    (part,) = board_of(made(settings=settings)).parts
    assert """--set 'prompt.roles=["q", "v"]'""" in command(part, "prompt", "roles=q+v", "icons", 1, 16)


def test_the_snippet_is_a_valid_run() -> None:
    old = {"name": "open", "model": "ViT-B-16-quickgelu / openai"}
    spec = check(RunSpec, yaml.safe_load(snippet(Upgrade(old, BACKBONES[0]), "paper")), where="snippet")
    assert spec.pairs() == [("open", "v1")]
    assert (spec.backbones["open"].model, spec.backbones["open"].pretrained) == ("ViT-B-16-quickgelu", "openai")
    assert (spec.backbones["v1"].model, spec.preset) == ("bundled:v1", "paper")
