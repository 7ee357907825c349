"""Which images modules lose, from made-up predictions of a plan."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from fixtures.results import info

from benchmark.data.dataset import ArrayImages, Examples, TestSet
from benchmark.data.task import TaskId
from benchmark.results.lost_rows import LostRows

LABELS = (0, 0, 1, 1)
CLASSES = ("cat", "dog", "cow")
PREDICTED = {
    # (method, seed, tested on): one label per image; all modules are trained on "old"
    ("a", 1, "old"): [0, 0, 1, 2], ("a", 1, "new"): [0, 1, 2, 0],
    ("a", 2, "old"): [0, 0, 1, 1], ("a", 2, "new"): [0, 1, 1, 1],
    ("b", 1, "old"): [0, 0, 1, 1], ("b", 1, "new"): [0, 2, 1, 1],
    ("b", 2, "old"): [0, 0, 1, 1],
    ("zero", 1, "old"): [0, 0, 1, 1], ("zero", 1, "new"): [1, 1, 2, 2],
}  # fmt: skip
METHODS = {"a": info("a"), "b": info("b"), "zero": info("zero", baseline=True)}


class Reader:
    """The predictions above, of every data set and protocol."""

    def is_ok(self, key):
        return key in PREDICTED

    def predicted(self, key, test):
        return np.array(PREDICTED[key], np.uint16)

    def labels(self, task, test):
        return np.array(LABELS)


def task(dataset, protocol, seed, shots=16):
    pixels = np.full((4, 8, 8, 3), len(dataset), np.uint8)
    examples = Examples(ArrayImages(pixels), LABELS)
    tests = (TestSet("all", examples, CLASSES, "{}"), TestSet("all", examples, CLASSES, "{}", name="shifted"))
    return SimpleNamespace(id=TaskId(dataset, protocol, shots, seed), tests=tests, shots=shots)


def rows(*groups, shown=("icons", "digits"), config="default"):
    """What is lost in a plan of these groups of tasks."""
    configurations = [SimpleNamespace(method=name, label=config if name == "b" else "default") for name in METHODS]
    plan = SimpleNamespace(
        pairs=[("old", "new")],
        tasks={one.id: one for group in groups for one in group},
        configurations=configurations,
        find=lambda configuration, id, trained, tested: SimpleNamespace(key=(configuration.method, id.seed, tested)),
    )
    names = {one.id.dataset for group in groups for one in group}
    datasets = {name: SimpleNamespace(shows_images=name in shown) for name in names}
    made = LostRows(plan, Reader(), datasets, METHODS)
    for group in groups:
        made.add(group)
    return made.lost()


def test_right_before_and_wrong_after():
    lost = rows([task("icons", "few-shot", seed) for seed in (1, 2)], config="lr=1")["old->new"]
    assert (lost.protocol, lost.images, lost.count) == ("few-shot", {"icons": 4}, 2), "not those of the shifted test set"
    cat, dog = lost.classes
    assert (cat.name, cat.rows, dog.name, dog.rows) == ("cat", (1,), "dog", (2,))
    (first,), (second,) = cat.pictures, dog.pictures
    assert first.answers == {"a": {"16/1": "dog", "16/2": "dog"}, "b (lr=1)": {"16/1": "cow"}}, "no seed 2 of b, no baseline"
    assert second.answers == {"a": {"16/1": "cow", "16/2": ""}, "b (lr=1)": {"16/1": ""}}
    assert first.data.startswith("data:image/")
    assert first.name == "image 2"


def test_only_the_headlines_protocol_with_the_most_shots_of_data_sets_that_may_be_shown():
    groups = [
        [task("icons", "few-shot", 1, 4)],
        [task("icons", "few-shot", 1, 8)],
        [task("digits", "few-shot", 1)],
        [task("photos", "few-shot", 1)],
        [task("icons", "domain", 1)],
    ]
    lost = rows(*groups)["old->new"]
    assert lost.images == {"icons": 4, "digits": 4}
    assert [(own.dataset, list(own.pictures[0].answers["a"])) for own in lost.classes if own.name == "cat"] == [
        ("icons", ["8/1"]),
        ("digits", ["16/1"]),
    ]
    assert rows([task("photos", "few-shot", 1)]) == {}


def test_a_picture_is_read_once_for_all_upgrades(monkeypatch):
    read = []
    monkeypatch.setattr("benchmark.results.lost_rows.address", lambda images, row: read.append(row) or "")
    rows([task("icons", "few-shot", seed) for seed in (1, 2)])
    assert sorted(read) == [1, 2]


def test_a_plan_without_modules_loses_nothing(monkeypatch):
    monkeypatch.setattr(Reader, "is_ok", lambda self, key: False)
    assert rows([task("icons", "few-shot", 1)]) == {}


@pytest.mark.parametrize("protocols", [("domain", "base-to-new"), ("base-to-new", "few-shot")])
def test_base_to_new_comes_first(protocols):
    assert rows(*([task("icons", name, 1)] for name in protocols))["old->new"].protocol == "base-to-new"
