"""Reading data sets: once, and for the driver in a process apart."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.config.errors import UserError
from benchmark.data.dataset import ArrayImages, Dataset, Examples, Splits
from benchmark.experiment import loading
from benchmark.experiment.loading import read_apart, splits_of
from benchmark.training.checks import tiny_clips

CLASSES = ("dog", "cat")


@pytest.fixture(autouse=True)
def nothing_read(monkeypatch):
    monkeypatch.setattr(loading, "_LOADED", {})


def splits(images: type = ArrayImages) -> Splits:
    def part(seed: int) -> Examples:
        return Examples(images(tiny_clips.pictures((0, 1), seed=seed)), (0, 1))

    return Splits(CLASSES, train=part(1), test=part(2))


def dataset(name: str, load) -> Dataset:
    """A data set whose ``load`` is a function without arguments."""
    kind = type("Own", (Dataset,), {"name": name, "load": lambda self: load()})
    return kind(None)


def leave_traces() -> Splits:
    """What a careless author may do."""
    os.chdir("/")
    os.environ["TRACE"] = "left"
    torch.manual_seed(0)
    torch.set_num_threads(1)
    np.random.seed(0)
    sys.modules["trace_of_a_data_set"] = sys
    return splits()


def test_the_images_are_those_of_load():
    read = read_apart([dataset("one", splits), dataset("two", splits)])
    assert list(read) == ["one", "two"]
    for each in read.values():
        assert each.classes == CLASSES
        for name in ("train", "test"):
            mine, expected = getattr(each, name), getattr(splits(), name)
            assert (mine.labels, mine.digest) == (expected.labels, expected.digest)


def test_nothing_of_it_reaches_this_process():
    before = Path.cwd(), dict(os.environ), torch.initial_seed()
    read_apart([dataset("one", leave_traces)])
    assert (Path.cwd(), dict(os.environ), torch.initial_seed()) == before
    assert "trace_of_a_data_set" not in sys.modules


def test_each_is_read_once(tmp_path):
    def load() -> Splits:
        with (tmp_path / "loads").open("a") as file:
            file.write("x")
        return splits()

    one = dataset("one", load)
    first = read_apart([one])["one"]
    assert read_apart([one])["one"] is first
    assert splits_of(one) is first
    assert (tmp_path / "loads").read_text() == "x"


def fail() -> Splits:
    raise ValueError("no\n disk")


def refuse() -> Splits:
    raise UserError("no such folder", where="there", fix="make it")


@pytest.mark.parametrize(
    ("load", "words"),
    [
        (lambda: os._exit(0), "dataset 'bad': load() failed: it ended the process (fix: correct it"),
        (lambda: sys.exit(0), "dataset 'bad': load() failed: RuntimeError: SystemExit was raised: 0 (fix: correct it"),
        (lambda: os.kill(os.getpid(), 9), "dataset 'bad': load() failed: it ended the process"),
        (lambda: time.sleep(60), "dataset 'bad': load() failed: it took longer than 1 s"),
        (fail, "dataset 'bad': load() failed: ValueError: no disk"),
        (refuse, "there: no such folder (fix: make it)"),
        (lambda: None, "dataset 'bad': load() returned NoneType, not Splits"),
    ],
)
def test_what_goes_wrong_is_one_line(load, words):
    with pytest.raises(UserError) as caught:
        read_apart([dataset("good", splits), dataset("bad", load)], 1)
    assert str(caught.value).startswith(words)
    assert "\n" not in str(caught.value)


class Unsendable(ArrayImages):
    def __reduce__(self):
        raise TypeError("not for others")


def test_what_cannot_be_sent_is_read_here():
    read = read_apart([dataset("own", lambda: splits(Unsendable))])["own"]
    assert isinstance(read.test.images, Unsendable)


def test_without_forks_it_is_read_here(monkeypatch):
    monkeypatch.setattr(loading, "forks", lambda *, gpu: False)
    monkeypatch.setattr(loading, "each_apart", None)
    assert read_apart([dataset("one", splits)])["one"].classes == CLASSES
