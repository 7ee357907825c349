"""Pointing at a method in a real browser: its marks in all figures and its rows in all tables stand out, by mouse and by
keyboard, and its name and value are shown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("selenium")
from fixtures import browser
from fixtures.browser import choose, emulated, fresh
from selenium import webdriver
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

pytestmark = browser.needed

LIT = """return [...document.querySelectorAll('.lit')].filter(e => e.matches(arguments[0]))
    .map(e => e.dataset.mark || e.dataset.method)"""
FIGURES = ("lift-by-upgrade", "forest-v1-v2", "heat-map-v1-v2", "slopes-v1-v2", "base-new-v1-v2", "flips-v1-v2")
"""Those of the first upgrade."""


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory, text: str) -> Iterator[webdriver.Chrome]:
    with browser.showing(tmp_path_factory.mktemp("marks"), text) as driver:
        yield driver


@pytest.fixture
def page(driver: webdriver.Chrome) -> webdriver.Chrome:
    """The page as loaded, with everything open."""
    fresh(driver)
    driver.execute_script("document.querySelectorAll('details').forEach(part => { part.open = true; })")
    return driver


def hover(driver: webdriver.Chrome, selector: str) -> WebElement:
    element = driver.find_element(By.CSS_SELECTOR, selector)
    driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
    ActionChains(driver).move_to_element(element).perform()
    return element


def note(driver: webdriver.Chrome) -> str:
    text: str = driver.find_element(By.ID, "note-of-mark").text
    return text


def lit(driver: webdriver.Chrome, selector: str) -> list[str]:
    found: list[str] = driver.execute_script(LIT, selector)
    return found


def enter(driver: webdriver.Chrome, figure: str) -> WebElement:
    """The one stop of the tab key in a figure, focused."""
    stops = driver.find_elements(By.CSS_SELECTOR, f"#{figure} svg [tabindex='0']")
    assert len(stops) == 1
    driver.execute_script("arguments[0].focus()", stops[0])
    return stops[0]


def press(driver: webdriver.Chrome, *keys: str) -> str:
    """The method whose mark is focused after some keys."""
    for key in keys:
        ActionChains(driver).send_keys(key).perform()
    name: str = driver.execute_script("return document.activeElement.dataset.mark")
    return name


def test_hovering_a_mark_shows_its_method_everywhere(page: webdriver.Chrome) -> None:
    hover(page, "#forest-v1-v2 .point[data-mark=prompt]")
    for figure in FIGURES:
        assert set(lit(page, f"#{figure} svg *")) == {"prompt"}, figure
    for table in ("#overview table", "#pair-1 table.headline", "#domain table, #shifted table", "#details-table"):
        assert set(lit(page, ", ".join(f"{part} tr" for part in table.split(", ")))) == {"prompt"}, table
    assert set(lit(page, "figcaption tr")) == {"prompt"}
    assert note(page).startswith("prompt: lift +")
    assert "helps" in note(page)
    page.execute_script("document.querySelector('h1').scrollIntoView()")
    hover(page, "h1")
    assert (lit(page, "*"), note(page)) == ([], "")


def test_other_methods_are_dimmed_and_the_one_is_outlined(page: webdriver.Chrome) -> None:
    hover(page, "#forest-v1-v2 .point[data-mark=prompt]")
    style = "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]"
    assert float(page.execute_script(style, "#slopes-v1-v2 [data-mark=adapter]", "opacity")) < 0.5
    assert float(page.execute_script(style, "#slopes-v1-v2 [data-mark=prompt]", "opacity")) == 1
    outline = page.execute_script(style, "#forest-v1-v2 .point[data-mark=prompt] use", "stroke")
    assert outline == page.execute_script(style, "body", "color")


@pytest.mark.parametrize("part", ["interval", "old", "name", "frame"])
def test_every_part_of_a_method_names_it(page: webdriver.Chrome, part: str) -> None:
    assert page.execute_script(
        """const mark = document.querySelector(arguments[0]);
        mark.dispatchEvent(new MouseEvent('mouseover', {bubbles: true}));
        return document.getElementById('note-of-mark').textContent""",
        f"#forest-v1-v2 .{part}[data-mark=adapter]",
    ).startswith("adapter: lift ")


def test_a_line_of_the_overview_has_its_own_value(page: webdriver.Chrome) -> None:
    hover(page, "#lift-by-upgrade .point1[data-mark=prompt]")
    assert note(page).endswith("v1 → v5")


def test_hovering_a_row_shows_its_method_in_the_figures(page: webdriver.Chrome) -> None:
    hover(page, "#pair-1 table.headline tr[data-method=adapter] th")
    assert set(lit(page, "#forest-v1-v2 svg *")) == {"adapter"}
    assert note(page) == ""
    ActionChains(page).send_keys(Keys.ESCAPE).perform()
    assert lit(page, "*") == []


def test_the_keyboard_goes_from_mark_to_mark(page: webdriver.Chrome) -> None:
    for figure in FIGURES:
        enter(page, figure)
    enter(page, "forest-v1-v2")
    first = press(page, Keys.HOME)
    order = page.execute_script("return [...document.querySelectorAll('#forest-v1-v2 .point')].map(e => e.dataset.mark)")
    assert first == order[0]
    assert note(page).startswith(f"{first}: ")
    assert press(page, Keys.ARROW_DOWN) == order[1]
    assert set(lit(page, "#slopes-v1-v2 svg *")) == {order[1]}
    assert press(page, Keys.END) == order[-1]
    assert press(page, Keys.ARROW_RIGHT) == order[-1]
    assert press(page, Keys.ARROW_LEFT, Keys.HOME) == first
    enter(page, "forest-v1-v2")  # it is still one stop
    press(page, Keys.ESCAPE)
    assert (lit(page, "*"), note(page)) == ([], "")


def test_a_mouse_that_rests_does_not_take_over_when_keys_move_the_page(page: webdriver.Chrome) -> None:
    hover(page, "#forest-v1-v2 + figure, #pair-1 table.headline tr[data-method=adapter] th")
    enter(page, "flips-v1-v2")
    name = press(page, Keys.END, Keys.HOME)
    page.execute_script("window.scrollBy(0, 40)")
    page.execute_async_script("setTimeout(arguments[0], 300)")
    assert note(page).startswith(f"{name}: ")


def test_tab_leaves_a_figure_at_once(page: webdriver.Chrome) -> None:
    enter(page, "heat-map-v1-v2")
    ActionChains(page).send_keys(Keys.TAB).perform()
    assert page.execute_script("return document.activeElement.closest('svg')") is None
    assert lit(page, "svg *") == []


def test_the_note_is_next_to_the_mark_and_can_be_read(page: webdriver.Chrome) -> None:
    for width, scheme in ((390, "light"), (390, "dark"), (1280, "dark")):
        with emulated(page, width, scheme=scheme):
            mark = hover(page, "#slopes-v1-v2 .name[data-mark=prompt]")
            box: dict[str, Any] = page.execute_script(
                "return document.getElementById('note-of-mark').getBoundingClientRect().toJSON()"
            )
            assert box["left"] >= 0
            assert box["right"] <= width
            top = page.execute_script("return arguments[0].getBoundingClientRect().top", mark)
            assert abs(box["top"] - top) < 80


def test_rows_are_one_stop_of_the_keyboard(page: webdriver.Chrome) -> None:
    stops = page.find_elements(By.CSS_SELECTOR, "#pair-1 table.headline th[tabindex='0']")
    assert [stop.text for stop in stops] == ["prompt"]
    page.execute_script("arguments[0].focus()", stops[0])
    ActionChains(page).send_keys(Keys.ARROW_DOWN).perform()
    assert set(lit(page, "#forest-v1-v2 svg *")) == {"prompt-b"}


def test_it_works_with_the_filter(page: webdriver.Chrome) -> None:
    choose(page, "method", "adapter")
    stops = page.find_elements(By.CSS_SELECTOR, "#pair-1 table.headline th[tabindex='0']")
    assert [stop.text for stop in stops] == ["adapter"]
    hover(page, "#forest-v1-v2 .point[data-mark=prompt]")
    opacity = "return getComputedStyle(document.querySelector(`#forest-v1-v2 .point[data-mark=${arguments[0]}]`)).opacity"
    assert [page.execute_script(opacity, name) for name in ("prompt", "adapter")] == ["1", "1"]
    assert float(page.execute_script(opacity, "prompt-b")) < 0.5


def test_paper_shows_nothing_of_it(page: webdriver.Chrome) -> None:
    hover(page, "#forest-v1-v2 .point[data-mark=prompt]")
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    opacity = page.execute_script("return getComputedStyle(document.querySelector('#slopes-v1-v2 .slope')).opacity")
    note_shown = page.execute_script("return document.getElementById('note-of-mark').checkVisibility()")
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert (opacity, note_shown) == ("1", False)
