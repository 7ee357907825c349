"""Wide content and fingers in a real browser: frames are stops of the tab key only while they scroll, and whatever can be
touched is large enough."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("selenium")
from fixtures import browser
from fixtures.browser import emulated, fresh
from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait

pytestmark = browser.needed

WRONG = """return [...document.querySelectorAll('.scroll')].filter(e => e.checkVisibility()).filter(e =>
    (e.scrollWidth > e.clientWidth + 1 || e.scrollHeight > e.clientHeight + 1) !== e.hasAttribute('tabindex')).length"""
STOPS = "return [...document.querySelectorAll('.scroll[tabindex]')].filter(e => e.checkVisibility()).length"
LOW = """return [...document.querySelectorAll('nav a, button, summary, select')].filter(e => e.checkVisibility())
    .filter(e => e.getBoundingClientRect().height < 44).map(e => e.outerHTML.slice(0, 80))"""


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory, text: str) -> Iterator[webdriver.Chrome]:
    with browser.showing(tmp_path_factory.mktemp("scroll"), text) as driver:
        yield driver


def settled(driver: webdriver.Chrome) -> None:
    WebDriverWait(driver, 5).until(lambda d: d.execute_script(WRONG) == 0)


def test_frames_are_stops_only_while_they_scroll(driver: webdriver.Chrome) -> None:
    with emulated(driver, 1900):
        fresh(driver)
        settled(driver)
        wide = driver.execute_script(STOPS)
    with emulated(driver, 390):
        settled(driver)
        narrow = driver.execute_script(STOPS)
    assert wide < narrow
    settled(driver)


def test_a_frame_is_looked_at_when_it_appears(driver: webdriver.Chrome) -> None:
    with emulated(driver, 390):
        fresh(driver, opened=False)
        settled(driver)
        before = driver.execute_script(STOPS)
        driver.execute_script("document.querySelectorAll('details').forEach(part => { part.open = true; })")
        WebDriverWait(driver, 5).until(lambda d: d.execute_script(STOPS) > before)
        settled(driver)


def test_without_scripts_every_frame_is_a_stop(text: str) -> None:
    assert text.count('class="scroll"') == text.count('class="scroll" tabindex="0" role="region"')


def test_fingers_have_room(driver: webdriver.Chrome) -> None:
    with emulated(driver, 390, touch=True):
        fresh(driver)
        driver.execute_script("document.querySelectorAll('details').forEach(part => { part.open = true; })")
        assert driver.execute_script("return matchMedia('(pointer: coarse)').matches")
        assert driver.execute_script(LOW) == []
        assert driver.execute_script("return document.documentElement.scrollWidth") <= 390
    fresh(driver)
    assert driver.execute_script(LOW) != [], "with a mouse they may be small"


def test_on_a_phone_the_lift_of_every_upgrade_is_on_the_screen(driver: webdriver.Chrome) -> None:
    with emulated(driver, 390, touch=True):
        fresh(driver)
        ends = driver.execute_script(
            """return [...document.querySelectorAll('table.headline tbody.sorted tr td:nth-child(3)')]
            .map(cell => cell.getBoundingClientRect().right)"""
        )
    assert ends
    assert max(ends) <= 390
