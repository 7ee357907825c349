"""Files of cells are read once, and released group by group."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from benchmark.data.task import TaskId
from benchmark.experiment.store import Store, predictions_file
from benchmark.results.cell_reader import CellReader, groups_of_tasks

KEY = "ab" * 10


@pytest.fixture
def reader(tmp_path, monkeypatch):
    """A reader of one cell; ``reader.opened`` lists what is read from the disk."""
    store = Store(tmp_path)
    files = predictions_file({"base": np.array([1, 0])}, {"base": np.array([0.5, 1.0])})
    store.write(KEY, {}, "ok", files=files)
    store.write("cd" * 10, {}, "failed", reason="boom")
    opened = []
    for name in ("record", "arrays"):
        real = getattr(Store, name)
        monkeypatch.setattr(
            Store, name, lambda self, key, *more, real=real, name=name: opened.append(name) or real(self, key, *more)
        )
    made = CellReader(store)
    made.opened = opened
    return made


def test_every_file_is_read_once(reader):
    for _ in range(2):
        assert reader.is_ok(KEY)
        assert reader.predicted(KEY, "base").tolist() == [1, 0]
        assert reader.confidences(KEY, "base").tolist() == [0.5, 1.0]
        assert reader.predicted(KEY, "new") is None
    assert reader.opened == ["record", "arrays"]
    reader.forget()
    reader.predicted(KEY, "base")
    assert reader.opened == ["record", "arrays"] * 2


def test_what_failed_has_no_predictions(reader):
    assert not reader.is_ok("cd" * 10)
    assert not reader.is_ok("ef" * 10), "it is not there"


def test_groups_differ_by_their_seed_only():
    names = [TaskId("a", "domain", 16, 1), TaskId("a", "base-to-new", 16, 1), TaskId("a", "domain", 16, 2)]
    tasks = {name: SimpleNamespace(id=name) for name in names}
    groups = groups_of_tasks(SimpleNamespace(tasks=tasks))
    assert [[task.id for task in group] for group in groups] == [[names[0], names[2]], [names[1]]]
