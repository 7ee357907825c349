"""Lost images: their order, their bounds, as a file, and of several folders."""

from __future__ import annotations

import json

import pytest
from fixtures.lost import lost_class, lost_images, picture

from benchmark.results import lost_images as module
from benchmark.results.lost_images import bounded, choose, content, merge, parse


def test_what_a_picture_counts():
    one = picture(0, {"a": "x..", "b": "...", "c": "yyx"})
    assert list(one.lost.items()) == [("c", 3), ("a", 1)], "most modules first, none without"
    assert (one.modules, one.wrong, one.rank) == (9, "x", (-2, -4))


def test_of_each_group_only_some():
    assert choose("aaabbc", str, shown=4, each=2) == ["a", "a", "b", "b"]
    assert choose("aaabbc", str, shown=9, each=1) == ["a", "b", "c"]


def test_data_sets_take_turns_and_most_methods_come_first(monkeypatch):
    monkeypatch.setattr(module, "SHOWN", 3)
    monkeypatch.setattr(choose, "__kwdefaults__", {"shown": 3, "each": 2})
    cat = lost_class("cat", picture(0, {"a": "x", "b": "."}), picture(1, {"a": "x", "b": "x"}), label=0)
    dog = lost_class("dog", picture(2, {"a": "x", "b": "."}), label=1, more=1)
    one = lost_class("one", picture(0, {"a": "2", "b": "."}), dataset="digits", label=1)
    lost = bounded(lost_images(cat, dog, one))
    assert [(own.name, [p.row for p in own.pictures]) for own in lost.classes] == [
        ("cat", [1, 0]),
        ("one", [0]),
        ("dog", []),
    ]
    assert [len(own.rows) for own in lost.classes] == [2, 1, 2], "the counts stay"
    assert lost.count == 5


def test_the_file_holds_it():
    lost = {"v1->v2": lost_images(lost_class("cat", picture(3, {"a": "x."}), more=2))}
    text = json.dumps(content(lost))
    assert parse(text.encode()) == lost


@pytest.mark.parametrize("data", ["javascript:alert(1)", 'data:image/png;base64,"onerror=', "https://example.org/a.png"])
def test_no_picture_comes_from_elsewhere(data):
    made = content({"v1->v2": lost_images(lost_class("cat", picture(3, {"a": "x."})))})
    made["v1->v2"]["classes"][0]["pictures"][0]["data"] = data
    with pytest.raises(ValueError, match="pattern"):
        parse(json.dumps(made).encode())


def test_folders_with_other_methods_and_seeds_are_one():
    one = lost_images(lost_class("cat", picture(0, {"a": "x."}), picture(1, {"a": "xx"}), more=1))
    other = lost_images(lost_class("cat", picture(0, {"a": "x.y", "b": "x"}), more=2), lost_class("dog", label=1, more=1))
    both = merge([{"p": one}, {"p": other, "q": other}])
    cat, dog = both["p"].classes
    assert cat.rows == (0, 1, 100, 101)
    assert [(p.row, p.lost, p.modules) for p in cat.pictures] == [(0, {"a": 2, "b": 1}, 4), (1, {"a": 2}, 2)]
    assert (dog.name, len(dog.rows)) == ("dog", 1)
    assert both["q"] is other
    assert merge([{"p": one}, {"p": one}])["p"] == bounded(one), "the same module does not count twice"


def test_of_two_protocols_the_headlines_is_kept():
    one = lost_images(lost_class("cat", picture(0, {"a": "x"})), protocol="domain")
    other = lost_images(lost_class("cat", picture(1, {"a": "x"})))
    assert merge([{"p": one}, {"p": other}])["p"] is other
