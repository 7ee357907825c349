"""The report in a real browser, from disk and without a network: everything on it works, it complains of nothing and asks
for nothing."""

from __future__ import annotations

import base64
import itertools
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from fixtures.lost import lost_class, lost_images, picture
from fixtures.results import made_up_run

from benchmark.method.base import Info
from benchmark.report import render
from benchmark.results import summary
from benchmark.results.provenance import About

pytest.importorskip("selenium")
from fixtures import browser
from fixtures.browser import choose, emulated, fresh, shown
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

pytestmark = browser.needed

REUSE = {"zero": 50.0, "alpha": 9.5, "beta": 70.25, "gamma": 61.0, "delta": math.nan}
HEADER = "#pair-1 table.headline th[data-column='7']"


def rows() -> pd.DataFrame:
    """Two pairs, one data set, two seeds; delta is incompatible."""
    found: list[dict[str, Any]] = []
    for method, reuse in REUSE.items():
        for new, seed in itertools.product(("v2", "v3"), (1, 2)):
            for strategy in ("old", "reuse"):
                row = dict.fromkeys(summary.COLUMNS, "") | {"pair": f"v1->{new}", "old": "v1", "new": new, "method": method}
                row |= {"dataset": "icons", "protocol": "base-to-new", "split": "H", "shots": 4, "seed": seed}
                row |= {"config": "default", "strategy": strategy, "metric": "accuracy", "n": 10, "status": "ok"}
                value = reuse + seed / 10 if strategy == "reuse" else 40.0
                reason = f"w is {seed} x 8 in the module but must be {seed} x 6 on {new}"
                incompatible = {} if math.isfinite(value) else {"status": "incompatible", "reason": reason, "split": "base"}
                found.append(row | {"value": value} | incompatible)
    return pd.DataFrame(found, columns=summary.COLUMNS)


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    folder = tmp_path_factory.mktemp("report")
    page = folder / "compat.html"
    methods = {name: Info(name, name.title(), "-", ("text",), "shallow", baseline=name == "zero") for name in REUSE}
    pairs, backbones = [("v1", "v2"), ("v1", "v3")], [{"name": "v1", "embed_dim": 8}, {"name": "v2", "embed_dim": 6}]
    about = About("test", "2025-01-01", pairs, backbones, ["base-to-new"], [1, 2], "small", zero_shot="zero")
    lost = {"v1->v2": lost_images(lost_class("cat", picture(0, {"alpha": "xx"}, "a/very/long/path" * 9), more=3))}
    page.write_text(render(made_up_run(rows(), about=about, methods=methods, datasets={}, lost=lost)), encoding="utf-8")
    with browser.started(folder) as driver:
        driver.get(page.as_uri())
        yield driver


def names(driver: webdriver.Chrome, body: str = ".sorted", pair: int = 1) -> list[str]:
    return [text.split("\n")[0] for text in shown(driver, f"#pair-{pair} table.headline tbody{body} th[scope=row]")]


def sort_state(driver: webdriver.Chrome) -> list[str]:
    script = "return [...document.querySelectorAll(arguments[0])].map(e => e.getAttribute('aria-sort'))"
    found: list[str] = driver.execute_script(script, "#pair-1 table.headline th[aria-sort]")
    return found


def test_starts_with_the_best(driver: webdriver.Chrome) -> None:
    assert names(driver) == ["beta", "gamma", "alpha", "delta"]
    assert sort_state(driver) == ["descending"]


def test_click_sorts_both_ways_and_missing_stays_last(driver: webdriver.Chrome) -> None:
    button = driver.find_element(By.CSS_SELECTOR, f"{HEADER} button")
    button.click()
    assert (names(driver), sort_state(driver)) == (["alpha", "gamma", "beta", "delta"], ["ascending"])
    button.click()
    assert (names(driver), sort_state(driver)) == (["beta", "gamma", "alpha", "delta"], ["descending"])
    assert names(driver, ".baseline") == ["zero"]


def test_keyboard_sorts_by_name(driver: webdriver.Chrome) -> None:
    driver.find_element(By.CSS_SELECTOR, "#pair-1 table.headline th[data-column='0'] button").send_keys(Keys.ENTER)
    assert names(driver) == ["alpha", "beta", "delta", "gamma"]
    driver.find_element(By.CSS_SELECTOR, "#pair-1 table.headline th[data-column='0'] button").send_keys(Keys.SPACE)
    assert names(driver) == ["gamma", "delta", "beta", "alpha"]


def test_filter_by_method_and_undo(driver: webdriver.Chrome) -> None:
    fresh(driver)
    everything = len(shown(driver, "#details-table tbody tr"))
    choose(driver, "method", "beta")
    assert names(driver, "") == ["zero", "beta"]
    rows = shown(driver, "#details-table tbody tr")
    assert 0 < len(rows) < everything
    assert all("beta" in row for row in rows)
    driver.find_element(By.CSS_SELECTOR, "#filters button[type=reset]").click()
    WebDriverWait(driver, 5).until(lambda d: len(shown(d, "#details-table tbody tr")) == everything)
    assert len(names(driver, "")) == len(REUSE)


def test_a_chosen_method_is_what_sentences_and_figures_are_about(driver: webdriver.Chrome) -> None:
    fresh(driver)
    assert shown(driver, ".answer") == shown(driver, ".answer[data-view='']")
    choose(driver, "method", "gamma")
    assert shown(driver, ".answer")[0].startswith("gamma helps on v1 → v2 and v1 → v3.")
    assert next(text.split(" ")[0] for text in shown(driver, "#pair-2 .findings li")) == "For"
    assert len(shown(driver, "#summary .answers li")) == 2
    dimmed = "return [...new Set([...document.querySelectorAll('[data-mark].dim')].map(e => e.dataset.mark))].sort()"
    assert driver.execute_script(dimmed) == ["alpha", "beta", "delta"]
    frame = "return getComputedStyle(document.querySelector(`.frame[data-mark=${arguments[0]}] path`)).opacity"
    assert [driver.execute_script(frame, name) for name in ("beta", "gamma")] == ["0", "1"]
    driver.find_element(By.CSS_SELECTOR, "#filters button[type=reset]").click()
    WebDriverWait(driver, 5).until(lambda d: d.execute_script(dimmed) == [])
    assert len(shown(driver, ".answer")) == 1


def test_filter_by_pair_hides_the_other_sections(driver: webdriver.Chrome) -> None:
    fresh(driver)
    assert len(shown(driver, "section[data-pair] h2")) == 2
    choose(driver, "pair", "v1 → v3")
    assert len(shown(driver, "section[data-pair] h2")) == 1
    assert len(shown(driver, ".answers li")) == 1


def test_a_link_opens_what_its_sender_saw(driver: webdriver.Chrome) -> None:
    fresh(driver)
    choose(driver, "method", "gamma")
    assert "method=gamma" in driver.current_url
    fresh(driver, "#" + driver.current_url.partition("#")[2].replace("?", "pair-2?"))
    assert names(driver, "", pair=2) == ["zero", "gamma"]
    top = driver.execute_script("return document.getElementById('pair-2').getBoundingClientRect().top")
    assert -5 < top < 200
    fresh(driver, "#lift-by-upgrade")
    assert driver.execute_script("return window.scrollY") > 0


@pytest.mark.parametrize(
    ("form", "head", "line"),
    [
        ("CSV", "Method,Verdict,", "beta,"),
        ("Markdown", "| Method | Verdict |", "| beta | "),
        ("LaTeX", "\\begin{tabular}{lrr", "beta & "),
    ],
)
def test_copy(driver: webdriver.Chrome, form: str, head: str, line: str) -> None:
    fresh(driver)
    choose(driver, "method", "beta")
    script = """
      const table = document.querySelector('table.headline'), bar = table.closest('.scroll').nextElementSibling;
      [...bar.querySelectorAll('button')].find(b => b.textContent === arguments[0]).click();
      return table.copied;
    """
    text = driver.execute_script(script, form)
    assert text.startswith(head)
    assert line in text
    assert "gamma" not in text
    assert "70.4" in text


def test_causes_are_filtered_by_any_of_their_methods_and_copied_with_their_reasons(driver: webdriver.Chrome) -> None:
    fresh(driver)
    first = "#failures tbody tr:first-child"
    assert shown(driver, f"{first} th") == ["embedding width 8 → 6\n1 method"]
    assert shown(driver, f"{first} li") == [], "reasons are closed"
    driver.find_element(By.CSS_SELECTOR, f"{first} summary").send_keys(Keys.ENTER)
    reasons = [f"delta: w is {seed} x 8 in the module but must be {seed} x 6 on v2" for seed in (1, 2)]
    assert shown(driver, f"{first} li") == reasons
    table = driver.find_element(By.CSS_SELECTOR, "#failures table")
    driver.execute_script(f"document.querySelector('{first}').dataset.method = 'other\\ndelta'")
    script = "arguments[0].closest('.scroll').nextElementSibling.querySelector('button').click(); return arguments[0].copied"
    assert f"embedding width 8->6 1 method,incompatible,2,delta,reuse,icons,{'; '.join(reasons)}" in driver.execute_script(
        script, table
    )
    for method, seen in (("beta", 0), ("delta", 1)):
        choose(driver, "method", method)
        assert len(shown(driver, first)) == seen


def test_lost_images_are_closed_until_opened_by_keyboard(driver: webdriver.Chrome) -> None:
    fresh(driver)
    assert shown(driver, "#pair-1 .pictures img") == []
    summary = next(e for e in driver.find_elements(By.CSS_SELECTOR, "#pair-1 summary") if "Images that" in e.text)
    summary.send_keys(Keys.ENTER)
    assert len(shown(driver, "#pair-1 .pictures img")) == 1
    assert driver.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")


def test_copy_reaches_the_clipboard(driver: webdriver.Chrome) -> None:
    fresh(driver)
    button = driver.find_element(By.CSS_SELECTOR, "#pair-1 .part > .scroll + .copy button")
    driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", button)
    button.click()
    WebDriverWait(driver, 5).until(lambda d: button.text == "copied")


def test_sections_are_closed_after_the_first_upgrade_until_somebody_goes_there(driver: webdriver.Chrome) -> None:
    fresh(driver, opened=False)
    first = "return [...document.querySelectorAll('details.part[open]')].map(part => part.parentElement.id)"
    assert driver.execute_script(first) == ["pair-1"]
    driver.execute_script("location.hash = '#costs'")
    WebDriverWait(driver, 5).until(lambda d: d.execute_script(first) == ["pair-1", "costs"])
    fresh(driver, "#pair-2", opened=False)
    assert driver.execute_script(first) == ["pair-1", "pair-2"]


def test_details_sort_and_grow(driver: webdriver.Chrome) -> None:
    fresh(driver)
    header = driver.find_elements(By.CSS_SELECTOR, "#details-table thead button")[7]
    assert header.text == "reuse"
    driver.execute_script("arguments[0].click()", header)
    values = [float(row.split()[-4]) for row in shown(driver, "#details-table tbody tr") if row.split()[-4] != "–"]
    assert values == sorted(values, reverse=True)
    assert "Showing" in driver.find_element(By.ID, "details-count").text


def test_dark_and_light(driver: webdriver.Chrome) -> None:
    fresh(driver)

    def colours() -> tuple[str, str]:
        style = "getComputedStyle(document.querySelector(arguments[0]))"
        page = driver.execute_script(f"return {style}.backgroundColor", "body")
        return page, driver.execute_script(f"return {style}.fill", "#lift-by-upgrade svg text")

    before = colours()
    driver.find_element(By.ID, "theme").click()
    after = colours()
    assert before[0] != after[0]
    assert before[1] != after[1]  # the figures too
    fresh(driver)
    assert colours() == after  # it is remembered
    driver.find_element(By.ID, "theme").click()
    assert colours() == before


def test_print_leaves_out_what_paper_cannot_do(driver: webdriver.Chrome) -> None:
    fresh(driver)
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    hidden = [shown(driver, selector) for selector in ("#filters", "nav", ".copy", "#theme")]
    tables = shown(driver, "table.headline")
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert hidden == [[], [], [], []]
    assert len(tables) == 2
    assert base64.b64decode(driver.execute_cdp_cmd("Page.printToPDF", {})["data"]).startswith(b"%PDF")


def test_everything_can_be_reached_by_keyboard(driver: webdriver.Chrome) -> None:
    """Every frame that could scroll and every button has a name, figures have a description."""
    fresh(driver)
    assert driver.execute_script("return document.querySelectorAll('.scroll:not([aria-label])').length") == 0
    unnamed = (
        "return [...document.querySelectorAll('button, select')].filter(e => !e.textContent.trim() && !e.ariaLabel).length"
    )
    assert driver.execute_script(unnamed) == 0
    assert driver.execute_script("return document.querySelectorAll('svg:not([aria-label])').length") == 0
    driver.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
    assert driver.switch_to.active_element.get_attribute("href").endswith("#summary")


def test_page_is_not_wider_than_a_phone(driver: webdriver.Chrome) -> None:
    metrics = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    width = driver.execute_script("return document.documentElement.scrollWidth")
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert width <= 390


@pytest.mark.parametrize("width", [1280, 1440, 1920])
def test_no_table_loses_a_column(driver: webdriver.Chrome, width: int) -> None:
    """Everything is opened, the data of figures too."""
    cut = """return [...document.querySelectorAll('.scroll:has(table)')]
        .filter(e => e.offsetParent && e.scrollWidth > e.clientWidth + 1).map(e => e.ariaLabel)"""
    with emulated(driver, width):
        fresh(driver)
        driver.execute_script("document.querySelectorAll('details').forEach(part => { part.open = true })")
        assert driver.execute_script("return document.querySelectorAll('figcaption table').length") > 0
        assert driver.execute_script(cut) == []


def test_no_requests_and_no_complaints(driver: webdriver.Chrome) -> None:
    assert driver.execute_script("return performance.getEntriesByType('resource').length") == 0
    assert [entry for entry in driver.get_log("browser") if entry["level"] in ("WARNING", "SEVERE")] == []
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    sent = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    assert [url for url in sent if not url.startswith(("file:", "data:"))] == []
    assert all(Path(url.split("#")[0]).name == "compat.html" for url in sent if url.startswith("file:"))


def test_headings_of_columns_stand_above_their_columns(driver: webdriver.Chrome) -> None:
    """No rule of the style sheet may take the row of groups apart."""
    fresh(driver)
    script = """
        const edges = element => { const box = element.getBoundingClientRect(); return [box.left, box.right]; };
        const head = document.querySelector("#pair-1 table.headline thead");
        const columns = [...head.rows[1].cells].map(edges);
        let at = 0;
        return [...head.rows[0].cells].map(cell => {
            const first = columns[at], last = columns[(at += cell.colSpan) - 1];
            return [edges(cell)[0] - first[0], edges(cell)[1] - last[1]];
        });
    """
    found = driver.execute_script(script)
    assert len(found) > 2
    assert all(abs(left) < 2 and abs(right) < 2 for left, right in found), found
