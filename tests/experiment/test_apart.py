"""Code that may do anything, in a process of its own."""

from __future__ import annotations

import os
import sys
import time

from benchmark.experiment import apart
from benchmark.experiment.apart import each_apart


def work(names):
    for name in names:
        if name == "raise":
            raise ValueError("wrong\n on purpose")
        if name == "exit":
            sys.exit("bye")
        if name == "die":
            os._exit(3)
        if name == "hang":
            time.sleep(600)
        yield name.upper()


def test_each_has_a_result_or_a_reason():
    found = list(each_apart(work, ["a", "raise", "exit", "b", "die", "hang", "c"], 5))
    assert found == [
        ("a", "A", ""),
        ("raise", None, "ValueError: wrong on purpose"),
        ("exit", None, "SystemExit: bye"),
        ("b", "B", ""),
        ("die", None, "it ended the process"),
        ("hang", None, "it took longer than 5 s"),
        ("c", "C", ""),
    ]


def test_nothing_reaches_this_process():
    before = os.getcwd(), os.getpid()

    def move(names):
        os.chdir("/")
        yield os.getcwd()

    assert list(each_apart(move, ["x"], 5)) == [("x", "/", "")]
    assert (os.getcwd(), os.getpid()) == before


def test_no_names_start_no_process(monkeypatch):
    monkeypatch.setattr(apart, "_main", None)
    assert list(each_apart(work, [], 1)) == []


def test_the_process_ends_when_nobody_listens():
    results = each_apart(work, ["a", "hang"], 60)
    assert next(results)[1] == "A"
    start = time.monotonic()
    results.close()
    assert time.monotonic() - start < 5
