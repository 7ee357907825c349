"""The gallery of lost images: what it says, and how it stands in the page."""

from __future__ import annotations

import pytest
from fixtures.lost import DATA, lost_class, lost_images, picture
from fixtures.results import Page, page

from benchmark.report.gallery import first_few, gallery

ARROW = "\N{RIGHTWARDS ARROW}"
LOST = lost_images(
    lost_class("<cat>", picture(0, dict.fromkeys("abcde", "xx.") | {"f": "..."}, "c/1.png"), more=2),
    lost_class("dog", picture(1, {"a": "y"}), label=1),
    lost_class("cow", label=2, more=3),
)


def test_what_it_says_of_a_picture():
    made = gallery(LOST)
    cat, dog = made.groups
    assert (cat.name, cat.more, cat.dataset, dog.more) == ("<cat> (icons)", 2, "icons", 0)
    assert cat.pictures[0].alt == "<cat>, c/1.png of icons"
    assert cat.pictures[0].lines == (f"{ARROW} x", "5 of 6 methods, 10 of 18 modules", "a, b, c and 2 more")
    assert dog.pictures[0].lines == (f"{ARROW} y", "1 of 1 method", "a"), "one seed: methods are modules"
    assert made.summary == "Images that modules lose: 7 of 200"
    assert made.rest == "Lost images of other classes, not shown: 3."


def test_nothing_to_show():
    assert gallery(None) is None
    assert gallery(lost_images(lost_class("cow", more=3))) is None


def test_the_first_few():
    assert [first_few("abcde"[:n]) for n in (1, 4, 5)] == ["a", "a, b, c, d", "a, b, c and 2 more"]


@pytest.mark.usefixtures("undrawn")
def test_it_is_closed_in_the_section_of_its_upgrade(results):
    text = page(results, lost={"v1->v5": LOST})
    first, second = (text.index(f'id="pair-{number}"') for number in (1, 2))
    place = text.index("<details><summary>Images that modules lose")
    assert first < second < place
    assert text.count("Images that modules lose") == 1
    pictures = [attributes for tag, attributes in Page(text).tags if tag == "img"]
    assert [(p["src"], p["alt"]) for p in pictures] == [(DATA, "<cat>, c/1.png of icons"), (DATA, "dog, image 2 of icons")]
    assert "<cat>" not in text
