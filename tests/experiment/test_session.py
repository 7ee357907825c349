"""From what was asked for to a session; whole runs are in ``tests/cli/test_run.py``."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from filelock import FileLock
from fixtures.command import use_checkout
from rich.console import Console

from benchmark.config import loader
from benchmark.config.errors import UserError
from benchmark.experiment import session
from benchmark.experiment.session import Execution, compute, lock, open_session, override, registries, select


@pytest.fixture
def spec(world, monkeypatch):
    """The toy checkout's YAML."""
    use_checkout(monkeypatch, world.root)
    return loader.load(world.root / "pairs.yaml")


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=200)


def test_what_is_not_given_stays(spec):
    assert override(spec, methods=None, datasets=(), seeds=None, plugins=()) == spec


def test_what_is_given_takes_the_place_of_the_yamls(spec, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    changed = override(spec, methods=("coop",), seeds=(4, 5), shots=3, data_root=Path("data"))
    assert (changed.methods, changed.seeds, changed.shots) == (("coop",), (4, 5), 3)
    assert changed.data_root == str(tmp_path.resolve() / "data")
    assert changed.backbones == spec.backbones


def test_plugins_are_added_to_the_yamls(spec, tmp_path):
    with_one = override(spec, plugins=(tmp_path / "one",))
    assert override(with_one, plugins=(tmp_path / "two",)).plugins == tuple(str(tmp_path / name) for name in ("one", "two"))


@pytest.mark.parametrize(("changes", "words"), [({"seeds": (1, 1)}, "given twice"), ({"protocols": ("x",)}, "protocols[0]")])
def test_a_bad_value_names_the_command_line(changes, words, spec):
    with pytest.raises(UserError) as caught:
        override(spec, **changes)
    assert str(caught.value).startswith("command line: ")
    assert words in str(caught.value)


def test_a_user_that_does_not_exist(spec):
    with pytest.raises(UserError, match="write another path"):
        override(spec, data_root=Path("~no-such-user-here/data"))


def test_only_backbones_of_a_pair_are_used(spec):
    upgrades = ({"old": "native", "new": ("eva",)},)
    narrowed = session.check(session.schema.RunSpec, {**spec.model_dump(), "upgrades": upgrades}, where="test")
    methods, datasets = registries(narrowed)
    selection = select(override(narrowed, methods=("co*",), datasets=("toy",)), ["coop.steps=1,2"], methods, datasets)
    assert list(selection.backbones) == ["native", "eva"]
    assert list(selection.datasets) == ["toy"]
    labels = [(configuration.method, configuration.label) for configuration in selection.configurations]
    assert [label for label in labels if label[0] == "coop"] == [("coop", "steps=1"), ("coop", "steps=2")]
    assert ("contcoop", "default") in labels


def opened(spec, console, out, **execution):
    methods, datasets = registries(spec)
    small = override(spec, methods=("zero-shot",), datasets=("toy",), protocols=("base-to-new",))
    return open_session(select(small, (), methods, datasets), Execution(out=out, **execution), methods, console)


def test_a_session_knows_its_plan_and_baseline(spec, console, tmp_path):
    made = opened(spec, console, tmp_path / "o")
    assert made.baseline == "zero-shot"
    assert "device: " in console.file.getvalue()
    assert [facts.name for facts in made.backbones] == ["native", "eva"]
    assert len(list(made.plan.cells())) == 2 + 3
    assert made.context.cache == tmp_path / "o" / "features"
    assert not (tmp_path / "o").exists(), "nothing is written before the first cell"


def test_what_is_finished_is_not_computed_again(spec, console, tmp_path):
    made = opened(spec, console, tmp_path / "o", device="cpu", workers=0)
    compute(made, made.plan.jobs, console)
    assert "5 cells to do" in console.file.getvalue()
    assert {made.store.status(cell.key) for cell in made.plan.cells()} == {"ok"}
    console.file.truncate(0)
    compute(made, made.plan.jobs, console)
    assert "cells to do" not in console.file.getvalue()


def test_half_precision_needs_a_gpu(spec, console, tmp_path):
    with pytest.raises(UserError, match="--precision bf16 needs a GPU"):
        opened(spec, console, tmp_path / "o", device="cpu", precision="bf16")


def test_one_run_in_a_folder(tmp_path):
    with lock(tmp_path / "o"), pytest.raises(UserError, match="another run is writing to"):
        lock(tmp_path / "o")
    with FileLock(tmp_path / "o" / ".lock", timeout=0):
        pass


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        lock(tmp_path / "file" / "o")


def test_the_baseline_is_part_of_every_run(spec):
    """Without zero-shot no module has a lift."""
    methods, datasets = registries(spec)
    selection = select(override(spec, methods=("coop",)), ["coop.steps=2"], methods, datasets)
    assert [(one.method, one.label) for one in selection.configurations] == [("coop", "steps=2"), ("zero-shot", "default")]
